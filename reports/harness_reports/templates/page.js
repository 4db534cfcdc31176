// Put the page together: filters over all tables, galleries, failures, theme, links to a model.

const SAMPLES_AT_ONCE = 12;
const FAILURES_AT_ONCE = 20;

const boards = [...document.querySelectorAll(".board")].map((section) => {
  const table = read("leaderboards").tables[section.dataset.table];
  return new Leaderboard(section, table, (line) => open_panel(table, line));
});

const filters = document.getElementById("filters");

function apply_filters() {
  const chosen = new FormData(filters);
  const groups = new Set(["Quality", ...chosen.getAll("group")]);
  const text = (chosen.get("text") ?? "").trim().toLowerCase();
  const [dataset, type, capability] = ["dataset", "type", "capability"].map((name) => chosen.get(name));
  const keeps = (line) =>
    (!dataset || line.dataset === dataset) &&
    (!type || line.type === type) &&
    (!capability || line.capabilities.includes(capability)) &&
    (!text || `${line.model} ${line.type} ${line.status}`.toLowerCase().includes(text));
  let kept = 0;
  for (const board of boards) {
    const models = board.table.lines.filter((line) => !REFERENCES.includes(line.role));
    // References are the rulers of their table: they stay as long as it has something to measure.
    const some = models.some(keeps);
    const reference = (line) => REFERENCES.includes(line.role) && (!models.length || some);
    kept += board.show(groups, (line) => reference(line) || keeps(line));
  }
  const all = boards.flatMap((board) => board.table.lines).filter((line) => !REFERENCES.includes(line.role));
  document.getElementById("kept").textContent =
    kept === all.length ? `${kept} entries` : `${kept} of ${all.length} entries`;
}

filters?.addEventListener("input", apply_filters);
filters?.addEventListener("submit", (event) => event.preventDefault());
if (filters) apply_filters();

for (const { section, table } of boards) {
  const gallery = section.querySelector(".gallery");
  const pictures = read("pictures");
  const shown = table.lines
    .map((line) => [line, line.trials.map((i) => pictures[i]?.samples).find(Boolean)])
    .filter(([, files]) => files);
  gallery.hidden = !shown.length;
  const headline = table.columns.findIndex((column) => column.heading === table.headline);
  const chunks = new Chunks(gallery.querySelector(".samples"), gallery.querySelector(".more"),
    ([line, files]) => {
      const told = `Samples of ${line.model}`;
      const shown = picture(files, told);
      const button = element("button", { type: "button", class: shown ? "" : "open" }, shown || line.model);
      button.addEventListener("click", () => open_panel(table, line));
      const score = line.cells[headline]?.[3];
      return element("figure", {}, shown && button, player(files, told), !shown && lines(files, told),
        element("figcaption", {}, shown ? element("strong", {}, line.model) : button,
          score && element("span", {}, `${table.headline} ${score}`)));
    }, SAMPLES_AT_ONCE);
  chunks.show(shown);
}

const failures = document.getElementById("failures");
if (failures) {
  const failed = boards.flatMap(({ table }) =>
    table.lines.filter((line) => line.role === "failed").map((line) => [table, line]));
  const chunks = new Chunks(failures.querySelector("ul"), failures.querySelector(".more"),
    ([table, line]) => {
      const button = element("button", { type: "button", class: "open" }, line.model);
      button.addEventListener("click", () => open_panel(table, line));
      return element("li", {}, button, ` on ${line.dataset} `, badge(line.status),
        element("p", {}, line.reason || "No reason was recorded."));
    }, FAILURES_AT_ONCE);
  chunks.show(failed);
}

for (const drawings of document.querySelectorAll(".drawings")) {
  drawings.addEventListener("change", (event) => {
    for (const charts of drawings.querySelectorAll(".charts"))
      charts.hidden = charts.dataset.kind !== event.target.value;
  });
}
for (const place of document.querySelectorAll(".chart")) waiting.observe(place);

const theme = document.getElementById("theme");
const dark = matchMedia("(prefers-color-scheme: dark)");

function is_dark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : dark.matches;
}

function name_theme() {
  theme.textContent = is_dark() ? "Light" : "Dark";
}

theme.addEventListener("click", () => {
  document.documentElement.dataset.theme = is_dark() ? "light" : "dark";
  name_theme();
});
dark.addEventListener("change", name_theme);
name_theme();

// An address ending in #TRIAL opens the panel of its model.
function open_linked() {
  const id = decodeURIComponent(location.hash.slice(1));
  const index = id ? read("trials").trials.findIndex((trial) => trial.id === id) : -1;
  if (index < 0) return;
  for (const { table } of boards) {
    const line = table.lines.find((candidate) => candidate.trials.includes(index));
    if (line) return open_panel(table, line);
  }
}
addEventListener("hashchange", open_linked);
open_linked();
