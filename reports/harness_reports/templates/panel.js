// The panel of one model: pictures, curve, failures, settings, and each of its trials in full.

const panel = document.getElementById("panel");
panel.addEventListener("click", (event) => event.target === panel && panel.close());

function open_panel(table, line) {
  const trials = line.trials.map((i) => read("trials").trials[i]);
  const curve = panel_curve(line);
  panel.replaceChildren(
    element("header", {},
      element("div", {},
        element("h2", { id: "panel-title" }, line.model),
        element("p", { class: "small" }, [line.type, table.title].filter(Boolean).join(" · ")),
        badge(line.status), line.warning && element("p", { class: "apart" }, `⚠ ${line.warning}`)),
      closer()),
    ...panel_pictures(table, line),
    ...(curve ? [element("h3", {}, "On the way"), curve] : []),
    ...panel_failures(table, line),
    ...panel_settings(trials[0]),
    element("h3", {}, trials.length > 1 ? "Seeds" : "The trial"),
    ...trials.map((trial, i) => panel_trial(trial, i === 0)));
  panel.showModal();
  panel.scrollTop = 0;
}

function closer() {
  const button = element("button", { type: "button", class: "close", "aria-label": "Close" }, "×");
  button.addEventListener("click", () => panel.close());
  return button;
}

function panel_pictures(table, line) {
  const pictures = read("pictures");
  const own = line.trials.map((i) => pictures[i]).find(Boolean);
  const real = table.lines.find((other) => other.role === "real" && other !== line);
  const beside = real?.trials.map((i) => pictures[i]).find(Boolean);
  if (!own) return line.role === "failed" ? [] : [element("p", { class: "small" }, "No pictures.")];
  const shown = [
    ["Samples", own.samples, `Samples of ${line.model}`],
    [`Real ${table.things}`, beside?.samples, `Of the test set: ${table.things}`],
    [`Nearest training ${table.things}`, own.neighbours,
      "Samples that look most like copies, each followed by the training example nearest to it"],
    ["Between two latent variables", own.interpolation, "Along arcs in latent space, one a row"],
  ];
  return [element("div", { class: "pictures" }, shown.filter(([, files]) => files).map(
    ([title, files, told]) => element("figure", {},
      element("figcaption", {}, element("strong", {}, title)),
      picture(files, told), files.gif && picture({ png: files.png }, `Frames: ${told}`),
      player(files, told), lines(files, told))))];
}

function panel_curve(line) {
  const curves = read("curves");
  const points = line.trials.flatMap((i) => (curves[i] ?? []).map(([fraction, quality, weights]) =>
    ({ fraction, quality, weights, seed: read("trials").trials[i].seed })));
  if (!points.length) return null;
  const place = element("div", { class: "chart" });
  const specification = { ...read("one-model"), data: { values: points } };
  // The panel has no width before it is shown.
  requestAnimationFrame(() => draw(place, specification));
  return place;
}

// Trials of the same model that did not end well, whichever line of the table they are in.
function panel_failures(table, line) {
  const all = read("trials").trials;
  const { label } = all[line.trials[0]];
  const trials = table.lines.flatMap((other) => other.trials.map((i) => all[i])).filter(
    (trial) => trial.label === label);
  const failed = trials.filter((trial) => trial.status !== "ok");
  if (!failed.length) return [];
  return [element("h3", {}, "What did not work"), ...failed.map((trial) =>
    element("article", { class: "failure" },
      element("p", {}, `Seed ${trial.seed} `, badge(trial.status)),
      element("pre", {}, trial.reason || "No reason was recorded."),
      trial.log && element("details", {},
        element("summary", {}, "How the log ends"), element("pre", {}, trial.log))))];
}

function panel_settings(trial) {
  const { pool } = read("trials");
  return Object.entries(trial.shared).map(([title, number]) => folded(title, pool[number], title === "Settings"));
}

function folded(title, pairs, open = false) {
  if (!Object.keys(pairs).length) return "";
  return element("details", { open }, element("summary", {}, title), listed(pairs));
}

function listed(pairs) {
  return element("dl", { class: "pairs" }, Object.entries(pairs).map(([key, value]) =>
    element("div", {}, element("dt", {}, key), element("dd", {}, value))));
}

function panel_trial(trial, open) {
  const { pool } = read("trials");
  const figures = trial.figures.map(([name, value, error, kind, how]) =>
    element("tr", {}, element("th", { scope: "row", class: "name" }, name),
      element("td", { class: "number" }, value || "–"), element("td", { class: "number" }, error),
      element("td", {}, kind), element("td", { class: "how" }, pool[how])));
  const headings = ["Figure", "Value", "±", "Kind", "How it was measured"].map((text, i) =>
    element("th", { scope: "col", class: ["name", "number", "number"][i] }, text));
  return element("details", { class: "trial", id: trial.id, open },
    element("summary", {}, element("strong", {}, `Seed ${trial.seed}`), " ", badge(trial.status)),
    figures.length > 0 && element("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Figures" },
      element("table", {},
        element("thead", {}, element("tr", {}, headings)),
        element("tbody", {}, figures))),
    ...Object.entries(trial.own).map(([title, pairs]) => folded(title, pairs, title === "Used")));
}
