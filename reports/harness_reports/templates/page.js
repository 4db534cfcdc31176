// Draw each chart in its place.
const specifications = JSON.parse(document.getElementById("specifications").textContent);
for (const place of document.querySelectorAll(".chart")) {
  const specification = specifications[place.dataset.section][place.dataset.currency];
  vegaEmbed(place, specification, { actions: false, renderer: "svg", tooltip: { theme: "custom" } });
}

// Open the trial that the address points at.
function open_target() {
  const target = location.hash && document.getElementById(location.hash.slice(1));
  if (target && target.tagName === "DETAILS") target.open = true;
}
addEventListener("hashchange", open_target);
open_target();
