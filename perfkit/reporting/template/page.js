// Draws the interactive charts over the static ones. Whatever fails, the static picture stays.
(async () => {
  "use strict";
  const figures = [...document.querySelectorAll("figure[data-chart]")];
  const packed = document.getElementById("plotly");
  if (!figures.length || !packed || !("DecompressionStream" in window)) return;

  const bytes = Uint8Array.from(atob(packed.textContent.trim()), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const script = document.createElement("script");
  script.textContent = await new Response(stream).text();
  document.head.append(script); // the policy knows this text by its hash
  const Plotly = window.Plotly;
  if (!Plotly) return;

  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const toDark = JSON.parse(document.getElementById("dark-colours").textContent);
  const parts = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16)).join(",");
  const toDarkParts = Object.fromEntries(
    Object.entries(toDark).map(([light, shade]) => [parts(light), parts(shade)]),
  );
  const recoloured = (text) =>
    text
      .replace(/#[0-9a-f]{6}\b/gi, (hex) => toDark[hex.toLowerCase()] || hex)
      .replace(/rgba\((\d+,\d+,\d+),/g, (all, rgb) => `rgba(${toDarkParts[rgb] || rgb},`);
  const put = (layout, dotted, value) => {
    const keys = dotted.split(".");
    const last = keys.pop();
    keys.reduce((node, key) => (node[key] ??= {}), layout)[last] = value;
  };

  const TITLE = 52; // the caption of the page says what plotly's own title would
  const draw = async (figure) => {
    const source = document.getElementById(`chart-${figure.dataset.chart}`).textContent;
    const chart = JSON.parse(dark.matches ? recoloured(source) : source);
    const narrow = figure.clientWidth < 640;
    const layout = chart.layout;
    if (figure.dataset.captioned) {
      if (narrow)
        for (const [key, value] of Object.entries(layout.meta?.narrow || {})) put(layout, key, value);
      delete layout.title;
      layout.margin.t -= TITLE;
      layout.height -= TITLE;
    }
    let plot = figure.querySelector(".plot");
    if (!plot) {
      plot = document.createElement("div");
      plot.className = "plot";
      figure.append(plot);
      figure.classList.add("drawn");
    }
    try {
      await Plotly.react(plot, chart.data, layout, { ...chart.config, responsive: true });
      figure.dataset.narrow = String(narrow);
    } catch (error) {
      plot.remove();
      figure.classList.remove("drawn");
      console.error(error);
    }
  };

  const near = new IntersectionObserver(
    (entries) => {
      for (const entry of entries)
        if (entry.isIntersecting) {
          near.unobserve(entry.target);
          draw(entry.target);
        }
    },
    { rootMargin: "600px" },
  );
  for (const figure of figures) near.observe(figure);

  const drawn = () => figures.filter((figure) => figure.classList.contains("drawn"));
  dark.addEventListener("change", () => drawn().forEach(draw));
  let waiting = 0;
  window.addEventListener("resize", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      for (const figure of drawn())
        if (String(figure.clientWidth < 640) !== figure.dataset.narrow) draw(figure);
    }, 150);
  });
})();
