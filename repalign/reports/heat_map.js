// One heat map: colours and numbers by the layer and the quantity that are chosen. Every text is
// in the page already, escaped; here only numbers and names of sites are put in as text.
(function (root) {
  "use strict";
  if (!root || root.dataset.ready) return;
  root.dataset.ready = "1";
  const data = JSON.parse(root.querySelector("script.data").textContent);
  const tokens = Array.from(root.querySelectorAll(".token"));
  const slider = root.querySelector(".layer input");
  const name = root.querySelector(".layer output");
  const reading = root.querySelector(".reading");
  const legends = Array.from(root.querySelectorAll(".legend"));
  let site = data.start, by = "honesty", at = -1;

  function plain(value) {
    return Number(value.toPrecision(4)).toString().replace("-", "−");
  }
  function colour(place) {
    if (by === "probability") {
      const chance = data.probabilities[place];
      return chance === null ? "" : "rgba(var(--doubt)," + (0.6 * (1 - chance)).toFixed(3) + ")";
    }
    const score = data.scores[site][place];
    if (score === null) return "";
    const share = (score - data.centres[site]) / (data.limits[site] || 1);
    const strength = (0.6 * Math.min(1, Math.abs(share))).toFixed(3);
    return "rgba(var(" + (share < 0 ? "--low" : "--high") + ")," + strength + ")";
  }
  function draw() {
    tokens.forEach(function (token, place) {
      const score = data.scores[site][place];
      token.style.background = colour(place);
      const threshold = data.thresholds[site];
      token.classList.toggle("below", score !== null && threshold !== null && score < threshold);
      token.title = words(place).join(", ");
    });
    legends.forEach(function (legend) {
      legend.hidden = legend.dataset.by !== by;
      if (legend.dataset.by === "honesty") {
        const ends = legend.querySelectorAll("b");
        ends[0].textContent = plain(data.centres[site] - data.limits[site]);
        ends[1].textContent = plain(data.centres[site] + data.limits[site]);
      }
    });
    if (name) name.textContent = data.sites[site];
    if (slider) slider.setAttribute("aria-valuetext", data.sites[site]);
    show();
  }
  function words(place) {
    const score = data.scores[site][place];
    const found = [score === null ? "no score" : "score " + plain(score)];
    if (data.probabilities && data.probabilities[place] !== null) {
      found.push("probability " + data.probabilities[place].toFixed(3));
    }
    const threshold = data.thresholds[site];
    if (score !== null && threshold !== null) {
      found.push((score < threshold ? "below" : "not below") + " the threshold " + plain(threshold));
    }
    return found;
  }
  function show() {
    reading.replaceChildren();
    if (at < 0) {
      reading.append(cell("span", data.hint, "quiet"));
      return;
    }
    reading.append(cell("b", tokens[at].dataset.text));
    reading.append(cell("span", "token " + (at + 1) + " of " + tokens.length, "quiet"));
    words(at).forEach(function (word) { reading.append(cell("span", word)); });
  }
  function cell(kind, text, style) {
    const made = document.createElement(kind);
    made.textContent = text;
    if (style) made.className = style;
    return made;
  }
  function move(to, focus) {
    if (at >= 0) tokens[at].classList.remove("at");
    tokens.forEach(function (token) { token.tabIndex = -1; });
    at = to;
    const home = tokens[Math.max(0, to)];
    if (home) home.tabIndex = 0;
    if (to >= 0) tokens[to].classList.add("at");
    if (to >= 0 && focus) tokens[to].focus();
    show();
  }

  tokens.forEach(function (token, place) {
    token.addEventListener("mouseenter", function () { move(place, false); });
    token.addEventListener("focus", function () { move(place, false); });
    token.addEventListener("click", function () { move(place, true); });
    token.addEventListener("keydown", function (event) {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      const ends = { Home: 0, End: tokens.length - 1 }[event.key];
      if (step === undefined && ends === undefined) return;
      event.preventDefault();
      const to = ends === undefined ? place + step : ends;
      move(Math.max(0, Math.min(tokens.length - 1, to)), true);
    });
  });
  if (slider) slider.addEventListener("input", function () { site = Number(slider.value); draw(); });
  root.querySelectorAll("fieldset input").forEach(function (choice) {
    choice.addEventListener("change", function () { by = choice.value; draw(); });
  });
  root.querySelectorAll(".scripted").forEach(function (part) { part.hidden = false; });
  if (tokens.length) tokens[0].tabIndex = 0;
  draw();
})
