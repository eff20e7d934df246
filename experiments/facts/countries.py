"""What the tables need to know of countries beyond GeoNames: English usage and cases to leave out.

Everything here is a judgement that can be argued with, so it stands apart from the code that uses
it.
"""


def _codes(text: str) -> frozenset[str]:
    return frozenset(text.split())


NAMES = {
    "AE": "the United Arab Emirates",
    "BS": "the Bahamas",
    "CD": "the Democratic Republic of the Congo",
    "CF": "the Central African Republic",
    "CG": "the Republic of the Congo",
    "CV": "Cape Verde",
    "DO": "the Dominican Republic",
    "GB": "the United Kingdom",
    "GM": "the Gambia",
    "KM": "the Comoros",
    "MH": "the Marshall Islands",
    "MV": "the Maldives",
    "NL": "the Netherlands",
    "PH": "the Philippines",
    "SB": "the Solomon Islands",
    "ST": "São Tomé and Príncipe",
    "TL": "East Timor",
    "US": "the United States",
    "VA": "Vatican City",
}
"""How a sentence names a country where GeoNames does it otherwise."""

NOT_A_STATE = _codes(
    "AI AN AQ AS AW AX BL BM BQ BV CC CK CS CW CX FK FO GF GG GI GL GP GS GU HK HM IM IO JE KY MF "
    "MO MP MQ MS NC NF NU PF PM PN PR RE SH SJ SX TC TF TK UM VG VI WF YT"
)
"""Codes of territories, and of states that are no more."""

CONTESTED = frozenset({"EH", "PS", "TW", "XK"})
"""Whose name or place in the world is itself in dispute."""

CAPITAL_UNCLEAR = {
    "BO": "two seats",
    "GQ": "moved in 2026",
    "ID": "being moved",
    "IL": "disputed",
    "LK": "two seats",
    "NR": "no official capital",
    "PW": "GeoNames names the state around it",
    "SZ": "two seats",
    "ZA": "three seats",
}
CAPITAL_GIVES_ITSELF_AWAY = _codes("AD BR DJ DZ GT GW KW LU MC MX PA SG SM ST SV TN VA VC")
"""The names of country and capital share a part, or (VC) nearly are another pair's."""

CAPITAL_NAMES = {
    "AG": "St. John's",
    "CM": "Yaoundé",
    "CO": "Bogotá",
    "CR": "San José",
    "IS": "Reykjavík",
    "KI": "South Tarawa",
    "KZ": "Astana",
    "MD": "Chișinău",
    "MM": "Naypyidaw",
    "MV": "Malé",
    "PY": "Asunción",
    "TG": "Lomé",
    "US": "Washington, D.C.",
}
"""English usage, and Kazakhstan's capital, which changed its name back in 2022."""

REGION_CAPITALS = """
Alabama: Montgomery, Alaska: Juneau, Arizona: Phoenix, Arkansas: Little Rock,
California: Sacramento, Colorado: Denver, Connecticut: Hartford, Delaware: Dover,
Florida: Tallahassee, Hawaii: Honolulu, Idaho: Boise, Illinois: Springfield, Iowa: Des Moines,
Kansas: Topeka, Kentucky: Frankfort, Louisiana: Baton Rouge, Maine: Augusta, Maryland: Annapolis,
Massachusetts: Boston, Michigan: Lansing, Minnesota: Saint Paul, Mississippi: Jackson,
Missouri: Jefferson City, Montana: Helena, Nebraska: Lincoln, Nevada: Carson City,
New Hampshire: Concord, New Jersey: Trenton, New Mexico: Santa Fe, New York: Albany,
North Carolina: Raleigh, North Dakota: Bismarck, Ohio: Columbus, Oregon: Salem,
Pennsylvania: Harrisburg, Rhode Island: Providence, South Carolina: Columbia,
South Dakota: Pierre, Tennessee: Nashville, Texas: Austin, Utah: Salt Lake City,
Vermont: Montpelier, Virginia: Richmond, Washington State: Olympia, West Virginia: Charleston,
Wisconsin: Madison, Wyoming: Cheyenne, Ontario: Toronto, Alberta: Edmonton, Manitoba: Winnipeg,
Saskatchewan: Regina, Nova Scotia: Halifax, New Brunswick: Fredericton,
Prince Edward Island: Charlottetown, New South Wales: Sydney, Queensland: Brisbane,
South Australia: Adelaide, Western Australia: Perth, Tasmania: Hobart, Scotland: Edinburgh,
Wales: Cardiff, Northern Ireland: Belfast, Bavaria: Munich, Saxony: Dresden, Hesse: Wiesbaden,
Thuringia: Erfurt, Tuscany: Florence, Sicily: Palermo, Lombardy: Milan, Piedmont: Turin,
Veneto: Venice, Liguria: Genoa, Campania: Naples, Apulia: Bari, Sardinia: Cagliari,
Umbria: Perugia, Marche: Ancona, Emilia-Romagna: Bologna, Calabria: Catanzaro, Abruzzo: L'Aquila,
Andalusia: Seville, Catalonia: Barcelona, Galicia: Santiago de Compostela, Aragon: Zaragoza,
Asturias: Oviedo, La Rioja: Logroño, Cantabria: Santander, Brandenburg: Potsdam,
Lower Saxony: Hanover, Saarland: Saarbrücken, Saxony-Anhalt: Magdeburg, Schleswig-Holstein: Kiel,
Rhineland-Palatinate: Mainz, Baden-Württemberg: Stuttgart, North Rhine-Westphalia: Düsseldorf,
Brittany: Rennes, Corsica: Ajaccio, Normandy: Rouen, Occitania: Toulouse, Hauts-de-France: Lille,
Grand Est: Strasbourg, Nouvelle-Aquitaine: Bordeaux, Tyrol: Innsbruck, Styria: Graz,
Carinthia: Klagenfurt, Vorarlberg: Bregenz, Upper Austria: Linz, Ticino: Bellinzona,
Vaud: Lausanne, Valais: Sion, Aargau: Aarau, West Flanders: Bruges, East Flanders: Ghent,
Hainaut: Mons, Friesland: Leeuwarden, Gelderland: Arnhem, North Holland: Haarlem,
Overijssel: Zwolle, Zeeland: Middelburg, Drenthe: Assen, South Holland: The Hague,
Crete: Heraklion, Tatarstan: Kazan, Bashkortostan: Ufa, Chechnya: Grozny, Dagestan: Makhachkala,
Buryatia: Ulan-Ude, Udmurtia: Izhevsk, Kalmykia: Elista, Chuvashia: Cheboksary,
Maharashtra: Mumbai, Karnataka: Bengaluru, Tamil Nadu: Chennai, West Bengal: Kolkata,
Rajasthan: Jaipur, Uttar Pradesh: Lucknow, Madhya Pradesh: Bhopal, Bihar: Patna,
Odisha: Bhubaneswar, Kerala: Thiruvananthapuram, Gujarat: Gandhinagar, Jharkhand: Ranchi,
Chhattisgarh: Raipur, Assam: Dispur, Goa: Panaji, Sikkim: Gangtok, Meghalaya: Shillong,
Nagaland: Kohima, Mizoram: Aizawl, Manipur: Imphal, Tripura: Agartala, Telangana: Hyderabad,
Sindh: Karachi, Balochistan: Quetta, Sichuan: Chengdu, Yunnan: Kunming, Hubei: Wuhan,
Hunan: Changsha, Guangdong: Guangzhou, Fujian: Fuzhou, Zhejiang: Hangzhou, Jiangsu: Nanjing,
Shandong: Jinan, Henan: Zhengzhou, Hebei: Shijiazhuang, Shanxi: Taiyuan, Shaanxi: Xi'an,
Gansu: Lanzhou, Qinghai: Xining, Tibet: Lhasa, Xinjiang: Urumqi, Heilongjiang: Harbin,
Jilin: Changchun, Liaoning: Shenyang, Anhui: Hefei, Jiangxi: Nanchang, Hainan: Haikou,
Inner Mongolia: Hohhot, Ningxia: Yinchuan, Hokkaido: Sapporo, Hyogo: Kobe, Kanagawa: Yokohama,
Aichi: Nagoya, Miyagi: Sendai, Ishikawa: Kanazawa, Ehime: Matsuyama, Okinawa: Naha,
Iwate: Morioka, Gunma: Maebashi, Tochigi: Utsunomiya, Ibaraki: Mito, Shimane: Matsue,
Kagawa: Takamatsu, Bali: Denpasar, West Java: Bandung, East Java: Surabaya,
Central Java: Semarang, North Sumatra: Medan, South Sumatra: Palembang, West Sumatra: Padang,
South Sulawesi: Makassar, Sabah: Kota Kinabalu, Sarawak: Kuching, Perak: Ipoh,
Selangor: Shah Alam, Kelantan: Kota Bharu, Kedah: Alor Setar, Pahang: Kuantan, Bahia: Salvador,
Minas Gerais: Belo Horizonte, Pernambuco: Recife, Ceará: Fortaleza, Amazonas: Manaus, Pará: Belém,
Paraná: Curitiba, Santa Catarina: Florianópolis, Goiás: Goiânia, Mato Grosso: Cuiabá,
Maranhão: São Luís, Alagoas: Maceió, Sergipe: Aracaju, Piauí: Teresina, Espírito Santo: Vitória,
Jalisco: Guadalajara, Nuevo León: Monterrey, Baja California: Mexicali, Sonora: Hermosillo,
Sinaloa: Culiacán, Michoacán: Morelia, Quintana Roo: Chetumal, Chiapas: Tuxtla Gutiérrez,
Tabasco: Villahermosa, Coahuila: Saltillo, Guerrero: Chilpancingo, Nayarit: Tepic,
Morelos: Cuernavaca, Hidalgo: Pachuca, Antioquia: Medellín, Valle del Cauca: Cali, Tolima: Ibagué,
Huila: Neiva, Nariño: Pasto, Zulia: Maracaibo, Chaco: Resistencia, Chubut: Rawson,
Misiones: Posadas, Tierra del Fuego: Ushuaia, Gauteng: Johannesburg, Western Cape: Cape Town,
Free State: Bloemfontein, Limpopo: Polokwane, KwaZulu-Natal: Pietermaritzburg,
Northern Cape: Kimberley, Rivers State: Port Harcourt, Borno State: Maiduguri, Oyo State: Ibadan,
Kwara State: Ilorin, Ogun State: Abeokuta, Cross River State: Calabar, Plateau State: Jos,
Greenland: Nuuk, Puerto Rico: San Juan, Bermuda: Hamilton, Aruba: Oranjestad,
New Caledonia: Nouméa
"""
"""Well-known parts of countries. Left out: Georgia (also a country), names that give themselves
away (Oklahoma, Indiana, Quebec) and places called Victoria. From general knowledge."""

CURRENCY_UNCLEAR = _codes("BG BT CU EC IR KH LB LI LS ME NA PA SO SV SZ TL TO TW VE ZW XK PS MO")
"""Two currencies in daily use, a change under way, or a currency without official standing."""

CURRENCY_NAMES = {
    "BA": "mark",
    "BY": "ruble",
    "CN": "yuan",
    "CR": "colón",
    "GW": "franc",
    "MN": "tugrik",
    "NI": "córdoba",
    "PE": "sol",
    "PY": "guaraní",
    "QA": "riyal",
    "RU": "ruble",
    "SA": "riyal",
    "SL": "leone",
}
"""The common English name where GeoNames writes another."""

CURRENCY_FAMILIES = (
    frozenset({"krone", "krona", "koruna"}),
    frozenset({"rial", "riyal", "real"}),
    frozenset({"dinar", "denar"}),
    frozenset({"som", "somoni"}),
    frozenset({"rupee", "rupiah", "rufiyaa"}),
    frozenset({"leu", "lek", "lev"}),
    frozenset({"mark", "euro"}),
)
"""Names too near each other for one to make a plain falsehood of the other."""

CURRENCY_FORMER = {
    "dinar": "BA HR ME MK SD SI",
    "dollar": "ET MY ZM",
    "escudo": "AO GW MZ PT ST",
    "franc": "AD BE DZ FR LU MA MC MG ML MR TN VU",
    "krona": "EE",
    "krone": "EE",
    "lira": "IL IT LY MT SM VA",
    "mark": "DE EE FI PL",
    "peso": "BO BR CR ES GT GW HN NI PA PY SV",
    "pound": "AU BB BS CA CY FJ GH GM IE IL IQ JM JO LY MT MW NG NZ PG SB SL TT WS ZA ZM",
    "rand": "BW LS NA SZ",
    "riyal": "AE BH",
    "ruble": "AM AZ EE FI GE KG KZ LT LV MD MN PL TJ TM UA UZ",
    "rupee": "AE AF BH BT KE KW MM MV OM QA SO TZ UG YE",
    "shilling": "AT",
    "yen": "KR KP TW",
}
"""Where a currency of that name was used within living memory or a little before: it is not
plainly false there, above all for a model that has read old texts."""
