"use strict";
(() => {
  const byId = (id) => document.getElementById(id);

  function chart() {
    const box = byId("chart");
    if (!box) return;
    const data = JSON.parse(byId("chart-data").textContent);
    const base = JSON.parse(byId("chart-spec").textContent);
    let view = null;
    let pinned = "";

    const chosen = (name) => document.querySelector(`input[name=${name}]:checked`).value;

    function specification() {
      const spec = structuredClone(base);
      const norm = chosen("norm");
      const log = chosen("scale") === "log";
      for (const param of spec.params) if (param.name in { norm, log }) param.value = { norm, log }[param.name];
      spec.data.values = data.series;
      spec.encoding.x.title = data.titles[norm];
      if (log) spec.encoding.x.scale = { type: "log", nice: false };
      spec.encoding.y.title = data.still;
      spec.encoding.color.scale = { domain: data.attacks, range: data.colours };
      spec.layer[0].encoding.strokeDash.scale = { domain: data.attacks, range: data.dashes };
      // An expression, because Vega-Lite 6.4 loses text fields in the tooltip of the nearest point.
      const tooltip = spec.layer[1].encoding.tooltip.value;
      tooltip.expr = tooltip.expr.replace("still:", `'${data.still}':`);
      if (box.clientWidth < 480) {
        spec.encoding.x.title = data.titles[norm].split(", "); // one line each
        spec.height = 280;
        spec.encoding.x.axis.tickCount = 4;
      }
      return spec;
    }

    async function draw() {
      if (view) view.finalize();
      // ast: expressions are interpreted, not compiled, so that the page can forbid eval.
      const made = await vegaEmbed(box, specification(), { ast: true, actions: false, renderer: "svg" });
      view = made.view;
      focus(pinned);
    }

    function focus(attack) {
      view.signal("focus", attack).runAsync();
    }

    const buttons = [...document.querySelectorAll(".legend button")];
    buttons.forEach((button, index) => {
      const attack = data.attacks[index];
      button.addEventListener("click", () => {
        pinned = pinned === attack ? "" : attack;
        for (const [i, other] of buttons.entries()) other.setAttribute("aria-pressed", String(data.attacks[i] === pinned));
        focus(pinned);
      });
      button.addEventListener("pointerenter", () => focus(attack));
      button.addEventListener("pointerleave", () => focus(pinned));
    });
    for (const input of document.querySelectorAll(".controls input")) input.addEventListener("change", draw);
    draw();
  }

  function copying() {
    const button = byId("copy");
    if (!button) return;
    button.hidden = false;
    button.addEventListener("click", async () => {
      const source = byId("command");
      try {
        await navigator.clipboard.writeText(source.textContent);
        button.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(source);
        button.textContent = "Selected: press Ctrl+C";
      }
    });
  }

  function printing() {
    let opened = [];
    addEventListener("beforeprint", () => {
      opened = [...document.querySelectorAll("details:not([open]):not(.long)")];
      for (const one of opened) one.open = true;
    });
    addEventListener("afterprint", () => {
      for (const one of opened) one.open = false;
    });
  }

  chart();
  copying();
  printing();
})();
