// A leaderboard: sorted by any column, filtered, walked through with the arrow keys.

const ROWS_AT_ONCE = 40;
const REFERENCES = ["real", "null"];

class Leaderboard {
  constructor(section, table, open) {
    Object.assign(this, { section, table, open, sorted: null, descending: false });
    this.grid = section.querySelector("table");
    const more = section.querySelector(".scroll .more");
    this.chunks = new Chunks(this.grid.tBodies[0], more, (line) => this.row(line), ROWS_AT_ONCE);
    this.grid.addEventListener("keydown", (event) => this.walk(event));
    this.grid.addEventListener("focusin", (event) => this.enter(event.target));
  }

  // Show the columns of some groups, and the lines that `keep` keeps.
  show(groups, keep) {
    const { columns, lines } = this.table;
    this.columns = columns.map((_, i) => i).filter((i) => groups.has(columns[i].group));
    if (this.sorted !== null && !this.columns.includes(this.sorted)) this.sorted = null;
    this.lines = lines.filter(keep);
    const models = this.lines.filter((line) => !REFERENCES.includes(line.role)).length;
    this.grid.tHead.replaceChildren(this.titles(), this.headings());
    this.fill();
    this.section.hidden = !this.lines.length;
    return models;
  }

  fill() {
    const { sorted } = this;
    const sign = this.descending ? -1 : 1;
    const lines = [...this.lines];
    const value = (line) => line.cells[sorted]?.[0] ?? null;
    const missing = (line) => line.role === "failed" || value(line) === null;
    if (sorted === "name") lines.sort((a, b) => sign * a.model.localeCompare(b.model));
    else if (sorted !== null)
      lines.sort((a, b) => missing(a) - missing(b) || sign * (value(a) - value(b)));
    this.chunks.show(lines);
    this.stop = null;
    this.enter(this.grid.querySelector("button"));
  }

  // Best first, then worst first, then back to the ranking.
  sort(by) {
    const better = by === "name" ? "lower" : this.table.columns[by].better;
    const first = better !== "lower";
    if (this.sorted !== by) [this.sorted, this.descending] = [by, first];
    else if (this.descending === first) this.descending = !first;
    else this.sorted = null;
    for (const heading of this.grid.tHead.querySelectorAll("[aria-sort]"))
      heading.setAttribute("aria-sort", this.order(heading.dataset.by));
    this.fill();
  }

  order(by) {
    if (String(this.sorted) !== String(by)) return "none";
    return this.descending ? "descending" : "ascending";
  }

  titles() {
    const { columns, groups } = this.table;
    const spans = groups.map((title) => [title, this.columns.filter((i) => columns[i].group === title)]);
    const shown = spans.filter(([, members]) => members.length);
    return element("tr", { class: "groups" },
      element("td", { class: "name" }), element("td"),
      shown.map(([title, members]) =>
        element("th", { scope: "colgroup", colspan: members.length }, title)));
  }

  headings() {
    return element("tr", {},
      this.heading("name", "Model", "name"),
      element("th", { scope: "col", class: "status", tabindex: -1 }, "Status"),
      this.columns.map((i) => {
        const { heading, better, caption } = this.table.columns[i];
        const first = this.table.columns[i - 1]?.group !== this.table.columns[i].group;
        const made = this.heading(i, heading, first ? "number first" : "number", better);
        explain(made.firstChild, () => [
          element("strong", {}, heading), better && ` (${better} is better)`,
          element("p", {}, shorten(read("leaderboards").texts[caption])),
        ]);
        return made;
      }));
  }

  heading(by, text, style, better) {
    const button = element("button", { type: "button", tabindex: -1 }, text,
      better && element("span", { class: "better" }, better === "lower" ? "↓" : "↑"));
    button.addEventListener("click", () => this.sort(by));
    const attributes = { scope: "col", class: style, "aria-sort": this.order(by), "data-by": by };
    return element("th", attributes, button);
  }

  row(line) {
    const failed = line.role === "failed";
    const columns = this.columns.filter((i) => !failed || this.table.columns[i].group !== "Quality");
    return element("tr", { class: line.role },
      this.name(line),
      failed ? this.reason(line) : this.status(line),
      columns.map((i) => this.cell(line, i)));
  }

  name(line) {
    const button = element("button", { type: "button", class: "open", tabindex: -1 }, line.model);
    button.addEventListener("click", () => this.open(line));
    const warned = element("span", { role: "img", "aria-label": line.warning }, " ⚠");
    if (line.warning) explain(button, () => [`${line.model} ${line.warning}`]);
    const type = line.type || (REFERENCES.includes(line.role) ? "reference" : "");
    return element("th", { scope: "row", class: "name" }, button, line.warning && warned,
      element("span", { class: "type" }, type));
  }

  status(line) {
    return element("td", { class: "status", tabindex: -1 }, badge(line.status),
      line.seeds > 1 && element("span", { class: "type" }, `${line.seeds} seeds`));
  }

  reason(line) {
    const quality = this.columns.filter((i) => this.table.columns[i].group === "Quality").length;
    return element("td", { class: "reason", colspan: 1 + quality, tabindex: -1 },
      element("div", {}, badge(line.status), ` ${line.reason}`));
  }

  cell(line, i) {
    const cell = line.cells[i];
    if (!cell.length) return element("td", { class: "number nothing", tabindex: -1 }, "–");
    const [, place, , text, prefix, error, mark, , group] = cell;
    const style = ["number", ["", "best", "second"][place], text === "–" && "nothing"];
    const made = element("td", { class: style.filter(Boolean).join(" "), tabindex: -1 },
      prefix && element("span", { class: "kind" }, prefix),
      element("span", { class: "value" }, text),
      mark && element("sup", {}, mark),
      (error || group) && element("span", { class: "error" }, error && `± ${error}`,
        group && element("span", { class: "group" }, group)));
    explain(made, () => this.told(line, i));
    return made;
  }

  // What is to be known of a figure: its interval, kind, note and protocol.
  told(line, i) {
    const [, , protocol, text, prefix, error, mark, interval, group] = line.cells[i];
    const { texts, kinds } = read("leaderboards");
    const { heading } = this.table.columns[i];
    const measured = text !== "–";
    const seeds = line.seeds > 1 ? `mean of ${line.seeds} seeds` : "one seed";
    return [
      element("strong", {}, `${heading} of ${line.model}`),
      measured && element("p", {}, `${prefix} ${text}${error && ` ± ${error}`}, ${seeds}`),
      interval && element("p", {}, `95% interval ${interval}`),
      group && element("p", {}, `Cannot be told apart from models that share ${group}`),
      measured && heading.startsWith("bits/") && element("p", {}, `Kind: ${kinds[prefix]}`),
      mark && element("p", {}, this.table.notes[mark]),
      protocol !== undefined && element("p", { class: "soft" }, shorten(texts[protocol])),
    ];
  }

  // A grid is one stop of the tabulator; within it the arrow keys move.
  enter(target) {
    const cell = target?.closest("th, td");
    if (!cell || cell === this.stop) return;
    if (this.stop) focusable(this.stop).tabIndex = -1;
    focusable(cell).tabIndex = 0;
    this.stop = cell;
  }

  walk(event) {
    const cell = event.target.closest("th, td");
    const rows = [...this.grid.rows].slice(1);
    const y = rows.indexOf(cell?.parentElement);
    const x = cell?.cellIndex;
    const there = {
      ArrowLeft: [y, x - 1], ArrowRight: [y, x + 1], ArrowUp: [y - 1, x], ArrowDown: [y + 1, x],
      Home: [y, 0], End: [y, Infinity], PageUp: [Math.max(y - 15, 0), x], PageDown: [y + 15, x],
    }[event.key];
    if (y < 0 || !there) return;
    event.preventDefault();
    const cells = rows[Math.min(there[0], rows.length - 1)]?.cells;
    const next = cells?.[Math.min(there[1], cells.length - 1)];
    if (next) focusable(next).focus();
  }
}

function focusable(cell) {
  return cell.querySelector("button") ?? cell;
}

function shorten(text, most = 400) {
  return text.length > most ? `${text.slice(0, most)}…` : text;
}
