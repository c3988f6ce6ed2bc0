"use strict";
// A focus is a set of points that stay bright while the others fade: a sentence's translations, or a language.
const shown = JSON.parse(document.getElementById("data").textContent);
const count = shown.texts[0].length;
const texts = shown.texts.flat();
const everyPoint = texts.map((_, point) => point);
const touch = matchMedia("(pointer: coarse)").matches;
const hint = "Point at a sentence to see it and its translations in every panel; choose it to list them here.";
const languageOf = (point) => Math.floor(point / count);
const sentenceOf = (point) => point % count;
const isIn = (focus, point) => focus.sentence === sentenceOf(point) || focus.language === languageOf(point);
const byId = (id) => document.getElementById(id);
const make = (name, parent, facts = {}) => parent.appendChild(Object.assign(document.createElement(name), facts));

let by = "language";
let pinned = null; // what was chosen: {sentence} or {language}
let waiting;

// All panels first: a plot takes the size that its panel has when it is drawn.
const panels = shown.models.map((model) => {
  const panel = make("section", byId("panels"));
  make("h2", panel, { textContent: model.name });
  return make("div", make("div", panel, { className: "frame" }), { className: "plot" });
});

const symbolOf = (point) => shown.languages[languageOf(point)].symbol;
const plots = shown.models.map((model, place) => {
  const plot = panels[place];
  const hidden = { visible: false };
  const dots = { type: "scatter", mode: "markers", marker: { size: 7, line: { width: 0 } } };
  Plotly.newPlot(plot, [
    { ...dots, x: model.x, y: model.y, hoverinfo: "none", marker: { ...dots.marker, symbol: everyPoint.map(symbolOf) } },
    { ...dots, x: [], y: [], hoverinfo: "skip" }, // the points in focus once more, above the faded ones
  ], {
    autosize: true, margin: { l: 8, r: 8, t: 8, b: 8 }, xaxis: hidden, yaxis: hidden, hovermode: "closest",
    showlegend: false, dragmode: touch ? false : "zoom",
  }, { displayModeBar: false });
  new ResizeObserver(() => Plotly.Plots.resize(plot)).observe(plot);
  plot.on("plotly_hover", (event) => point(event.points[0].pointIndex, event.event));
  plot.on("plotly_unhover", leave);
  plot.on("plotly_click", (event) => choose({ sentence: sentenceOf(event.points[0].pointIndex) }));
  return plot;
});

const colourOf = (point) =>
  by === "language" ? shown.languages[languageOf(point)].colour : shown.colours[sentenceOf(point)];

function paint(focus) {
  clearTimeout(waiting);
  const found = focus ? everyPoint.filter((point) => isIn(focus, point)) : [];
  plots.forEach((plot, place) => {
    const pick = (values) => [found.map((point) => values[point])];
    Plotly.restyle(plot, { opacity: focus ? 0.15 : 0.85 }, [0]);
    Plotly.restyle(plot, {
      x: pick(shown.models[place].x), y: pick(shown.models[place].y),
      "marker.color": [found.map(colourOf)], "marker.symbol": [found.map(symbolOf)],
    }, [1]);
  });
}

function recolour() {
  for (const plot of plots) Plotly.restyle(plot, { "marker.color": [everyPoint.map(colourOf)] }, [0]);
  paint(pinned);
}

// Drawing takes a moment where there are thousands of points: the pointer must rest for it.
function paintSoon(focus) {
  clearTimeout(waiting);
  waiting = setTimeout(() => paint(focus), 60);
}

function point(index, where) {
  const [tip, language] = [byId("tip"), shown.languages[languageOf(index)]];
  const [text, about] = tip.children;
  text.textContent = texts[index];
  text.lang = language.code;
  about.textContent = `${language.name} (${language.code}), sentence ${sentenceOf(index) + 1}`;
  tip.hidden = false;
  const left = Math.min(where.clientX + 14, document.documentElement.clientWidth - tip.offsetWidth - 6);
  const above = where.clientY - tip.offsetHeight - 14;
  tip.style.left = `${Math.max(6, left)}px`;
  tip.style.top = `${above > 6 ? above : where.clientY + 18}px`;
  if (!pinned) paintSoon({ sentence: sentenceOf(index) });
}

function leave() {
  byId("tip").hidden = true;
  if (!pinned) paintSoon(null);
}

function choose(focus) {
  const again = pinned && pinned.sentence === focus.sentence && pinned.language === focus.language;
  pinned = again ? null : focus;
  paint(pinned);
  [...byId("legend").children].forEach((button, place) =>
    button.setAttribute("aria-pressed", String(pinned !== null && pinned.language === place)));
  const said = byId("said");
  said.textContent = pinned ? "" : hint;
  if (!pinned) return;
  const one = pinned.sentence !== undefined;
  make("div", said, { textContent: one ? `sentence ${pinned.sentence + 1}` : shown.languages[pinned.language].name });
  const rows = make("tbody", make("table", said));
  for (const index of everyPoint.filter((point) => isIn(pinned, point))) {
    const [row, language] = [make("tr", rows), shown.languages[languageOf(index)]];
    make("td", row, { textContent: one ? language.name : sentenceOf(index) + 1 });
    make("td", row, { textContent: texts[index], lang: language.code, dir: "auto" });
  }
}

function drawSymbol(language) {
  const shapes = {
    circle: "M1 6a5 5 0 1 0 10 0a5 5 0 1 0 -10 0", square: "M1 1h10v10h-10z", diamond: "M6 0l6 6l-6 6l-6 -6z",
    "triangle-up": "M6 1l6 10h-12z",
  };
  return `<svg viewBox="0 0 12 12" aria-hidden="true"><path fill="${language.colour}" d="${shapes[language.symbol]}"/></svg>`;
}

shown.languages.forEach((language, place) => {
  const button = make("button", byId("legend"), { type: "button", innerHTML: drawSymbol(language) });
  button.append(language.name);
  button.setAttribute("aria-pressed", "false");
  button.addEventListener("click", () => choose({ language: place }));
});

for (const button of document.querySelectorAll("[data-by]")) {
  button.addEventListener("click", () => {
    by = button.dataset.by;
    for (const other of document.querySelectorAll("[data-by]")) other.setAttribute("aria-pressed", String(other === button));
    recolour();
  });
}
addEventListener("scroll", leave, { passive: true }); // on a touch screen nothing else says that the finger left
byId("said").textContent = hint;
recolour();
