"use strict";
(() => {
  const all = (what, within = document) => [...within.querySelectorAll(what)];
  const read = (id) => JSON.parse(document.getElementById(id).textContent);

  // A chart that may be asked to draw itself again.
  function chart(box) {
    const section = box.closest("section");
    const data = read(`${box.id}-data`);
    const base = read(`${box.id}-spec`);
    const said = (name) => JSON.stringify(name);
    let view = null;
    let pinned = "";

    const chosen = (name) => section.querySelector(`input[name$=${name}]:checked`)?.value;

    function specification() {
      const spec = structuredClone(base);
      // An expression, because Vega-Lite 6.4 loses text fields in the tooltip of the nearest point.
      const tooltip = spec.layer[1].encoding.tooltip.value;
      const narrow = box.clientWidth < 480;
      spec.data.values = data.series;
      if (data.titles) {
        const norm = chosen("norm");
        const log = chosen("scale") === "log";
        for (const param of spec.params) if (param.name in { norm, log }) param.value = { norm, log }[param.name];
        spec.encoding.x.title = narrow ? data.titles[norm].split(", ") : data.titles[norm]; // one line each
        if (log) spec.encoding.x.scale = { type: "log", nice: false };
        spec.encoding.y.title = data.still;
        spec.layer[0].encoding.strokeDash.scale = { domain: data.names, range: data.dashes };
        tooltip.expr = tooltip.expr.replace("still:", () => `${said(data.still)}:`);
      } else {
        spec.encoding.x.title = data.x;
        spec.encoding.y.title = data.y;
        spec.encoding.y.axis.format = data.format;
        if (data.format === ".0%") spec.encoding.y.scale = { domain: [0, 1], nice: false };
        spec.layer[0].encoding.strokeDash.scale = { domain: data.names, range: data.dashes };
        tooltip.expr = tooltip.expr.replace("x:", () => `${said(data.x)}:`).replace("y:", () => `${said(data.y)}:`);
      }
      spec.encoding.color.scale = { domain: data.names, range: data.colours };
      if (narrow) {
        spec.height = 280;
        spec.encoding.x.axis.tickCount = 4;
      }
      return spec;
    }

    async function draw() {
      if (!box.clientWidth) return; // hidden: drawn when it is shown
      if (view) view.finalize();
      // ast: expressions are interpreted, not compiled, so that the page can forbid eval.
      const made = await vegaEmbed(box, specification(), { ast: true, actions: false, renderer: "svg" });
      view = made.view;
      focus(pinned);
    }

    function focus(name) {
      view.signal("focus", name).runAsync();
    }

    const buttons = all(".legend button", section);
    buttons.forEach((button, index) => {
      const name = data.names[index];
      button.addEventListener("click", () => {
        pinned = pinned === name ? "" : name;
        for (const [i, other] of buttons.entries()) other.setAttribute("aria-pressed", String(data.names[i] === pinned));
        focus(pinned);
      });
      button.addEventListener("pointerenter", () => focus(name));
      button.addEventListener("pointerleave", () => focus(pinned));
    });
    for (const input of all(".controls input", section)) input.addEventListener("change", draw);
    draw();
    return () => view ?? draw();
  }

  // A table's columns by group, and its rows in any order; those of a kind stay together.
  function table(made) {
    const section = made.closest("section");
    for (const choice of all(".columns", section)) {
      choice.hidden = false;
      const show = () => { made.dataset.show = choice.querySelector("input:checked").value; };
      choice.addEventListener("change", show);
      show();
    }
    const heads = all("thead th", made).slice(1);
    heads.forEach((head, index) => {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "sort";
      button.append(...head.childNodes);
      head.append(button);
      head.setAttribute("aria-sort", "none");
      button.addEventListener("click", () => {
        const falling = head.getAttribute("aria-sort") !== "descending";
        for (const other of heads) other.setAttribute("aria-sort", "none");
        head.setAttribute("aria-sort", falling ? "descending" : "ascending");
        const value = (row) => Number.parseFloat(row.cells[index + 1]?.dataset.sort ?? "NaN");
        for (const body of made.tBodies) {
          const rows = [...body.rows].filter((row) => !row.classList.contains("group"));
          const known = rows.filter((row) => !Number.isNaN(value(row)));
          const rest = rows.filter((row) => Number.isNaN(value(row)));
          known.sort((one, other) => (falling ? value(other) - value(one) : value(one) - value(other)));
          body.append(...known, ...rest);
        }
      });
    });
  }

  // Cards by attack, class and outcome; a few at a time.
  function gallery(section) {
    const filters = section.querySelector(".filters");
    if (!filters) return;
    const cards = all(".case", section);
    const more = section.querySelector(".more");
    const page = innerWidth < 760 ? 3 : 6;
    let most = page;
    filters.hidden = false;

    function show() {
      const by = Object.fromEntries(all("select", filters).map((one) => [one.dataset.by, one.value]));
      const wanted = cards.filter((card) =>
        Object.entries(by).every(([key, value]) =>
          value === "" || card.dataset[key] === value || (key === "fooled" && value === "1" && card.dataset.fooled === "2")));
      const seen = new Set(wanted.slice(0, most));
      for (const card of cards) card.hidden = !seen.has(card);
      more.hidden = wanted.length <= most;
      filters.querySelector("p").textContent = `${seen.size} of ${wanted.length}`;
    }

    filters.addEventListener("change", () => { most = page; show(); });
    more.addEventListener("click", () => { most += 2 * page; show(); });
    show();
  }

  // One attack's matrices at a time, and what is known of their cells where it is asked for.
  function transfer(section) {
    const filters = section.querySelector(".filters");
    const [select, box] = all("select, input", filters);
    filters.hidden = false;

    function show() {
      all(".kind", section).forEach((kind, index) => { kind.hidden = index !== Number(select.value); });
      for (const more of all(".more", section)) more.hidden = !box.checked;
    }

    filters.addEventListener("change", show);
    show();
  }

  // One model and goal at a time.
  function views(draws) {
    const choice = document.querySelector(".views");
    if (!choice) return;
    choice.hidden = false;
    const parts = all(".view");

    function show(name) {
      for (const part of parts) part.hidden = part.dataset.view !== name;
      for (const input of all("input", choice)) input.checked = input.value === name;
      for (const draw of draws) draw();
    }

    choice.addEventListener("change", (event) => show(event.target.value));
    for (const link of all("a[data-view]")) link.addEventListener("click", () => show(link.dataset.view));
    const asked = parts.find((part) => location.hash && part.querySelector(`[id="${CSS.escape(location.hash.slice(1))}"]`));
    show((asked ?? parts[0]).dataset.view);
  }

  function copying() {
    const button = document.getElementById("copy");
    if (!button) return;
    button.hidden = false;
    button.addEventListener("click", async () => {
      const source = document.getElementById("command");
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
      opened = all("details:not([open]):not(.long)");
      for (const one of opened) one.open = true;
    });
    addEventListener("afterprint", () => {
      for (const one of opened) one.open = false;
    });
  }

  const draws = all(".chart").map(chart);
  all("table.measures, table.sortable").forEach(table);
  all(".gallery").forEach(gallery);
  all(".transfer").forEach(transfer);
  views(draws);
  copying();
  printing();
})();
