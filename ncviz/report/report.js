// Draws each figure of the report when it is about to be seen, in the colours of the reader's theme.

const AHEAD = "800px"; // how far from the window a figure is drawn
const CONFIG = { displaylogo: false, showSendToCloud: false, responsive: true };

const templates = JSON.parse(document.getElementById("templates").textContent);
const theme = document.documentElement.dataset.theme;
const darkness = matchMedia("(prefers-color-scheme: dark)");
let printing = false;

function template() {
  const dark = !printing && (theme === "dark" || (theme === "system" && darkness.matches));
  return templates[dark ? "dark" : "light"];
}

async function draw(plot) {
  const { data, layout } = JSON.parse(document.getElementById(`${plot.id}-data`).textContent);
  const save = { filename: `ncviz-${plot.id}`, scale: 2 };
  layout.template = template();
  await Plotly.react(plot, data, layout, { ...CONFIG, toImageButtonOptions: save });
  plot.dataset.drawn = "";
}

const plots = [...document.querySelectorAll(".plot")];
const drawn = () => plots.filter((plot) => "drawn" in plot.dataset);

const seen = new IntersectionObserver(
  (entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      seen.unobserve(target);
      draw(target);
    }
  },
  { rootMargin: AHEAD },
);
for (const plot of plots) seen.observe(plot);

darkness.addEventListener("change", () => drawn().forEach(draw));
// On paper all figures are there, dark on light.
addEventListener("beforeprint", () => {
  printing = true;
  plots.forEach(draw);
});
addEventListener("afterprint", () => {
  printing = false;
  drawn().forEach(draw);
});
