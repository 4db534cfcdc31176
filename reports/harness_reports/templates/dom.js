// Elements from text alone: nothing here reads markup, so whatever a plugin is called stays text.

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children.flat().filter((child) => child || child === 0));
  return made;
}

const parsed = new Map();

// Parse one of the page's JSON documents when it is first needed.
function read(id) {
  if (!parsed.has(id)) parsed.set(id, JSON.parse(document.getElementById(id).textContent));
  return parsed.get(id);
}

// Show items a chunk at a time: when the button comes into view, or is pressed.
class Chunks {
  constructor(place, button, make, size) {
    Object.assign(this, { place, button, make, size });
    button.addEventListener("click", () => this.more());
    new IntersectionObserver((seen) => seen.some((entry) => entry.isIntersecting) && this.more())
      .observe(button);
  }

  show(items) {
    this.items = items;
    this.shown = 0;
    this.place.replaceChildren();
    this.more();
  }

  more() {
    if (!this.items) return;
    const next = this.items.slice(this.shown, this.shown + this.size);
    this.place.append(...next.map(this.make));
    this.shown += next.length;
    const rest = this.items.length - this.shown;
    this.button.hidden = rest === 0;
    this.button.textContent = `Show more (${rest} not shown)`;
  }
}

function badge(status, text = status) {
  const mood = status.startsWith("ok") ? "good" : status.startsWith("skipped") ? "calm" : "bad";
  return element("span", { class: `badge ${mood}` }, text);
}

// What a trial shows of examples: one moving picture or several that stand still.
function picture(files, description) {
  const kind = files.gif ? "gif" : "png";
  if (!files[kind]) return null;
  const src = `data:image/${kind};base64,${files[kind]}`;
  return element("img", { src, alt: description, loading: "lazy" });
}

function player(files, description) {
  if (!files.wav) return null;
  const src = `data:audio/wav;base64,${files.wav}`;
  return element("audio", { controls: true, preload: "metadata", src, "aria-label": description });
}

function lines(files, description) {
  return files.txt && element("pre", { class: "lines", tabindex: 0, role: "region", "aria-label": description }, files.txt);
}
