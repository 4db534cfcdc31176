// Charts are drawn when they come into view, and drawn again if what they show changes.

const waiting = new IntersectionObserver((seen) => {
  for (const { isIntersecting, target } of seen) {
    if (!isIntersecting) continue;
    waiting.unobserve(target);
    draw(target, read("charts")[target.dataset.chart]);
  }
});

function draw(place, specification) {
  const options = { actions: false, renderer: "svg", tooltip: { theme: "custom" } };
  return vegaEmbed(place, specification, options);
}
