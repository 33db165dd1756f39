"use strict";
(() => {
  const find = (what, within = document) => within.querySelector(what);
  const all = (what, within = document) => [...within.querySelectorAll(what)];
  const FLAGS = JSON.parse(find("#flag-words").textContent);
  const NORMS = { l0: "L0", l1: "L1", l2: "L2", linf: "L\u221e" };
  const at = (row) => [row.run, row.model_at, row.goal_at, row.attack_at, row.position].join("/");
  const percent = (share) => share === null ? "\u2013" : `${(100 * share).toFixed(share > 0.9995 || share < 0.0005 ? 2 : 1)} %`;
  const short = (value) => (value === null ? "\u2013" : Number(value.toPrecision(3)).toString());
  const size = (row) => (row.norm === "l0" ? `${row.l0} pixels` : `${NORMS[row.norm] ?? "L2"} ${short(row.distance)}`);

  // Text goes in as text, never as markup: names of classes, files and attacks may hold anything.
  function made(tag, options = {}, ...inside) {
    const { text, ...rest } = options;
    const one = document.createElement(tag);
    for (const [key, value] of Object.entries(rest)) one.setAttribute(key, value);
    if (text !== undefined) one.textContent = text;
    one.append(...inside);
    return one;
  }

  async function asked(path, content) {
    const how = content === undefined ? {} : { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(content) };
    const answer = await fetch(path, how);
    if (!answer.ok) throw new Error(await answer.text());
    return answer.json();
  }

  function fill(select, values, first) {
    const before = select.value;
    select.replaceChildren(...(first === null ? [] : [made("option", { value: "", text: first })]), ...values.map(([value, text]) => made("option", { value, text })));
    if (values.some(([value]) => String(value) === before)) select.value = before;
  }

  // One tab at a time, by the address.
  const tabs = all(".tab");
  function show() {
    const name = tabs.some((tab) => `#${tab.id}` === location.hash) ? location.hash.slice(1) : "examples";
    for (const tab of tabs) tab.hidden = tab.id !== name;
    for (const link of all("nav a")) link.hash === `#${name}` ? link.setAttribute("aria-current", "page") : link.removeAttribute("aria-current");
    if (name === "try") trying.open();
  }
  addEventListener("hashchange", show);

  // Before and after in one place with a slider between them, the change beside, the likeliest classes below.
  function compared(panel, { pictures, name, factor, answers, facts }) {
    const stage = made("div", { class: "stage", tabindex: "0", role: "group", "aria-label": "Original and adversarial image" });
    const both = made("div", { class: "both" });
    const before = made("img", { src: pictures("original"), alt: `${name}, original` });
    const after = made("img", { src: pictures("adversarial"), alt: `${name}, adversarial` });
    const mark = made("span", { class: "mark" });
    both.append(before, after, mark);
    stage.append(both);
    const slider = made("input", { type: "range", min: "0", max: "100", value: "50", "aria-label": "Between original and adversarial image" });
    const zoom = made("input", { type: "range", min: "1", max: "12", step: "0.5", value: "1", "aria-label": "Zoom" });
    const said = [made("span"), made("span")];
    function draw() {
      const part = Number(slider.value);
      after.style.clipPath = `inset(0 0 0 ${part}%)`;
      mark.style.left = `${part}%`;
      both.style.width = `${100 * zoom.value}%`;
      said[0].textContent = part === 0 ? "after" : part === 100 ? "before" : "both";
      said[1].textContent = `${zoom.value} times`;
    }
    for (const input of [slider, zoom]) input.addEventListener("input", draw);
    stage.addEventListener("wheel", (event) => {
      if (!event.ctrlKey) return;
      event.preventDefault();
      closer(event.deltaY < 0 ? 1 : -1);
    }, { passive: false });
    function closer(step) { zoom.value = Number(zoom.value) + step; draw(); }
    function flip() { slider.value = Number(slider.value) > 0 ? 0 : 100; draw(); }
    const knobs = made("div", { class: "knobs" },
      made("label", {}, made("span", { text: "before \u2194 after" }), slider, said[0]),
      made("label", {}, made("span", { text: "zoom" }), zoom, said[1]));
    const change = made("div", { class: "change" },
      made("img", { src: pictures("change"), alt: "The change around grey" }),
      made("p", { class: "quiet", text: factor > 1 ? `the change, amplified ${factor.toLocaleString("en")} times` : "the change, as strong as it is" }));
    const likely = made("div", { class: "answers" }, made("p", { class: "quiet", text: "asking the model" }));
    const list = made("dl", { class: "facts" });
    for (const [term, value] of facts) list.append(made("dt", { text: term }), made("dd", { text: value }));
    panel.replaceChildren(made("div", { class: "sides" }, made("div", {}, stage, knobs), made("div", {}, change, likely)), list);
    draw();
    Promise.resolve(answers).then((found) => {
      likely.replaceChildren();
      for (const [title, rows] of [["before", found.before], ["after", found.after]]) {
        const entries = rows.map((one) => made("li", {}, Object.assign(made("i"), { style: `width:${100 * one.probability}%` }), made("span", { text: one.class }), made("span", { text: percent(one.probability) })));
        likely.append(made("div", {}, made("b", { text: `${title}: likeliest` }), made("ol", {}, ...entries)));
      }
    }).catch((error) => likely.replaceChildren(made("p", { class: "quiet", text: `No more than the records say: ${error.message}` })));
    return { closer, flip };
  }

  // Examples: filters, tiles, and one of them closely.
  const examples = (() => {
    const form = find("#examples .filters");
    const tiles = find(".tiles");
    const count = find(".count");
    const more = find("#examples .more");
    const dialog = find("dialog.detail");
    let rows = [], total = 0, latest = 0, open = -1, hands = null;

    const wanted = () => Object.fromEntries([...new FormData(form)].filter(([, value]) => value !== ""));

    async function choices() {
      const found = await asked(`/api/choices?run=${encodeURIComponent(form.run.value)}`);
      for (const [name, values] of Object.entries(found)) fill(form.elements[name], values.map((one) => [one, one]), "any");
    }

    async function load(offset = 0) {
      const mine = ++latest;
      const query = new URLSearchParams({ ...wanted(), offset });
      let found;
      try {
        found = await asked(`/api/examples?${query}`);
      } catch (error) {
        if (mine === latest) count.textContent = error.message;
        return;
      }
      if (mine !== latest) return; // another question has been asked since
      if (!offset) { rows = []; tiles.replaceChildren(); }
      total = found.total;
      for (const row of found.rows) {
        const number = rows.push(row) - 1;
        tiles.append(tile(row, number));
      }
      more.hidden = rows.length >= total;
      count.textContent = `${rows.length.toLocaleString("en")} of ${total.toLocaleString("en")} records`;
    }

    function tile(row, number) {
      const words = row.outcome === "fooled" ? `${row.before} \u2192 ${row.after}` : `${row.before}, ${row.outcome}`;
      const picture = made("img", { src: `/picture/${at(row)}/adversarial.png`, alt: "", loading: "lazy", class: "pixelated" });
      picture.addEventListener("error", () => picture.replaceWith(made("span", { class: "none", text: "not kept" })));
      const button = made("button", { type: "button" }, picture, made("b", { text: words, class: row.outcome === "fooled" ? "wrong" : "" }), made("span", { text: size(row) }), made("span", { text: `${row.model}, ${row.attack}` }));
      button.addEventListener("click", () => detail(number));
      return made("li", {}, button);
    }

    async function detail(number) {
      open = number;
      const row = rows[number];
      find(".name", dialog).textContent = `${row.example} under ${row.attack}`;
      find(".panel", dialog).replaceChildren();
      find(".beside", dialog).replaceChildren();
      if (!dialog.open) dialog.showModal();
      const found = await asked(`/api/example/${at(row)}`);
      if (open !== number) return;
      hands = side(find(".panel", dialog), found.row, found.factor);
      const others = found.beside.filter((one) => at(one) !== at(row));
      if (!others.length) return;
      const select = made("select", { "aria-label": "Beside" });
      fill(select, others.map((one, place) => [place, `${one.model}, ${one.attack}, ${one.goal} (run ${one.run}): ${one.outcome}, ${size(one)}`]), "nothing");
      const panel = made("div");
      select.addEventListener("change", async () => {
        panel.replaceChildren();
        if (select.value === "") return;
        const other = await asked(`/api/example/${at(others[Number(select.value)])}`);
        side(panel, other.row, other.factor);
      });
      find(".beside", dialog).append(made("p", {}, made("label", { text: "beside it: " }, select)), panel);
    }

    function side(panel, row, factor) {
      const facts = [["model, run", `${row.model}, run ${row.run}`], ["label", row.class], ["before", `${row.before}, ${percent(row.before_confidence)} sure`], ["after", `${row.after}, ${percent(row.after_confidence)} sure`], ["outcome", row.outcome + (row.outcome === "fooled" ? (row.kept_8bit ? ", also saved in 8 bits" : ", lost in 8 bits") : "")], ["distances", `L0 ${row.l0}, L1 ${short(row.l1)}, L2 ${short(row.l2)}, L\u221e ${short(row.linf)}`], ["passes", `${row.forwards} forward, ${row.backwards} backward`], ...row.flags.map((code) => [`flag ${code}`, FLAGS[code] ?? ""])];
      if (factor === null) {
        const list = made("dl", { class: "facts" });
        for (const [term, value] of facts) list.append(made("dt", { text: term }), made("dd", { text: value }));
        panel.replaceChildren(made("p", { class: "quiet", text: "The run has not kept these images." }), list);
        return null;
      }
      return compared(panel, { pictures: (what) => `/picture/${at(row)}/${what}.png`, name: row.example, factor, answers: asked(`/api/answers/${at(row)}`), facts });
    }

    async function step(by) {
      const next = open + by;
      if (next >= rows.length && rows.length < total) await load(rows.length);
      if (next >= 0 && next < rows.length) detail(next);
    }

    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("reset", () => setTimeout(async () => { await choices(); load(); }));
    let pause;
    form.addEventListener("input", (event) => {
      clearTimeout(pause);
      pause = setTimeout(async () => {
        if (event.target.name === "run") await choices();
        load();
      }, event.target.tagName === "INPUT" && event.target.type !== "checkbox" ? 250 : 0);
    });
    more.addEventListener("click", () => load(rows.length));
    find(".prev", dialog).addEventListener("click", () => step(-1));
    find(".next", dialog).addEventListener("click", () => step(1));
    dialog.addEventListener("close", () => { const last = all("button", tiles)[open]; open = -1; last?.focus(); });
    addEventListener("keydown", (event) => {
      const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
      if (event.key === "/" && !typing && !dialog.open) { event.preventDefault(); location.hash = "#examples"; form.run.focus(); }
      if (!dialog.open || typing || event.ctrlKey || event.metaKey || event.altKey) return;
      const does = { ArrowLeft: () => step(-1), ArrowRight: () => step(1), " ": () => hands?.flip(), "+": () => hands?.closer(1), "=": () => hands?.closer(1), "-": () => hands?.closer(-1) }[event.key];
      if (!does || (event.key === " " && event.target.tagName === "BUTTON")) return;
      event.preventDefault();
      does();
    });
    return { form, choices, load };
  })();

  // The runs, with their pages.
  let runs = [];
  async function shelf() {
    runs = await asked("/api/runs");
    find(".shelf").replaceChildren(...runs.map((run) => {
      const page = run.page ? made("a", { href: `/run/${run.run}/${run.page}`, text: "page" }) : made("span", { text: "\u2013" });
      const name = run.study === "audit" ? made("a", { href: "#examples", text: run.name }) : made("span", { text: run.name });
      const unread = run.unread ? [made("small", { text: ` its records cannot be read: ${run.unread}` })] : [];
      if (run.study === "audit") name.addEventListener("click", async () => { examples.form.run.value = run.run; await examples.choices(); examples.load(); });
      return made("tr", {}, made("th", { scope: "row" }, name, ...unread), made("td", { text: run.study }), made("td", { text: run.models.join(", ") }), made("td", { text: run.data }), made("td", { text: run.examples.toLocaleString("en"), class: "number" }), made("td", { text: run.attacks.join(", ") }), made("td", {}, page));
    }));
    const studies = await asked("/api/studies");
    find(".studies").hidden = !studies.length;
    find(".studies tbody").replaceChildren(...studies.map((study) => {
      const claims = Object.entries(study.verdicts).filter(([, count]) => count).map(([verdict, count]) => `${count} ${verdict}`).join(", ");
      const page = study.page ? made("a", { href: `/study/${study.number}/${study.page}`, text: "page" }) : made("span", { text: "\u2013" });
      return made("tr", {}, made("th", { scope: "row", text: study.name }), made("td", { text: study.title }), made("td", { text: study.scale }), made("td", { text: claims }), made("td", { text: study.doubts, class: "number" }), made("td", {}, page));
    }));
    fill(examples.form.run, runs.filter((run) => run.study === "audit").map((run) => [run.run, run.name]), "any");
  }

  // An attack on one image, live.
  const trying = (() => {
    const form = find(".trying");
    const state = find("#try .state");
    const outcome = find("#try .outcome");
    const keep = find("#try .keep");
    let known = { attacks: [], classes: [] }, opened = false, trial = null;

    async function open() {
      if (opened) return;
      opened = true;
      fill(form.run, runs.filter((run) => run.tries).map((run) => [run.run, run.name]), null);
      if (!form.run.value) { state.textContent = "No run here can be tried: it takes one with kept images and a spec."; return; }
      await chosen();
    }

    async function chosen() {
      const run = runs[Number(form.run.value)];
      fill(form.model, run.models.map((name, place) => [place, name]), null);
      images(run);
      state.textContent = "opening the model";
      try {
        known = await asked(`/api/attacks/${run.run}/${form.model.value}`);
      } catch (error) {
        known = { attacks: [], classes: [] };
        state.textContent = error.message;
        return;
      }
      state.textContent = "";
      fill(form.attack, known.attacks.map((one) => [one.name, one.name]), null);
      if (!form.attack.dataset.touched && known.attacks.some((one) => one.name === "deepfool")) form.attack.value = "deepfool";
      described();
    }

    function images(run) {
      const strip = find(".images", form);
      const before = form.elements.position?.value;
      const shown = Math.min(run.examples, 120);
      strip.replaceChildren(...Array.from({ length: shown }, (_, place) => {
        const input = made("input", { type: "radio", name: "position", value: place });
        input.checked = String(place) === (before || "0");
        return made("label", {}, input, made("img", { src: `/original/${run.run}/${form.model.value}/${place}.png`, alt: `Image ${place}`, loading: "lazy", class: "pixelated" }), made("span", { text: place }));
      }));
    }

    function described() {
      const one = known.attacks.find((each) => each.name === form.attack.value);
      if (!one) return;
      find(".summary", form).textContent = `${one.summary} (${one.kind})`;
      fill(form.target, one.goals.includes("targeted") ? known.classes.map((name) => [name, `reach ${name}`]) : [], "leave the class");
      find(".fields", form).replaceChildren(...one.options.map((option) => {
        const field = option.choices.length ? made("select", { name: `option-${option.name}` }) : made("input", { type: "text", name: `option-${option.name}`, placeholder: option.default });
        if (option.choices.length) fill(field, option.choices.map((value) => [value, value]), `default: ${option.default}`);
        return made("label", {}, made("b", { text: option.name }), field, made("small", { text: `${option.help}; ${option.expected}` }));
      }));
    }

    function curve(passes) {
      const points = passes.filter(([, margin]) => margin !== null); // NaN has no place on it
      const box = find(".curve", outcome);
      const [width, height, left, low] = [640, 190, 48, 24];
      const xs = points.map(([x]) => x), ys = points.map(([, y]) => y);
      const [x1, y0, y1] = [Math.max(2, ...xs), Math.min(0, ...ys), Math.max(0.001, ...ys)];
      const place = ([x, y]) => [left + ((x - 1) / (x1 - 1)) * (width - left - 10), 10 + ((y1 - y) / (y1 - y0 || 1)) * (height - low - 16)];
      const zero = place([1, 0])[1];
      const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
      const put = (tag, values, text) => {
        const one = document.createElementNS("http://www.w3.org/2000/svg", tag);
        for (const [key, value] of Object.entries(values)) one.setAttribute(key, value);
        if (text) one.textContent = text;
        svg.append(one);
      };
      svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
      svg.setAttribute("role", "img");
      svg.setAttribute("aria-label", `Margin to the goal over ${points.length} passes; below zero the goal is met`);
      put("line", { class: "zero", x1: left, x2: width - 10, y1: zero, y2: zero });
      put("polyline", { points: points.map((point) => place(point).map((one) => one.toFixed(1)).join(",")).join(" ") });
      put("text", { x: 4, y: 18 }, short(y1));
      put("text", { x: 4, y: height - low }, short(y0));
      put("text", { x: left, y: height - 6 }, "margin to the goal, in logits, at each pass; below the line it is met");
      put("text", { x: width - 50, y: height - 6 }, `${x1}`);
      box.replaceChildren(svg);
    }

    async function follow(number) {
      for (;;) {
        const told = await asked(`/api/trial/${number}`);
        if (trial !== number) return;
        if (told.curve.length) { outcome.hidden = false; curve(told.curve); }
        state.textContent = told.error || (told.done ? `${told.attack}: ${told.fooled ? "goal met" : "withstood"}` : `${told.passes} passes`);
        if (told.done) {
          if (!told.error) finished(told);
          return;
        }
        await new Promise((done) => setTimeout(done, 200));
      }
    }

    function finished(told) {
      keep.hidden = false;
      keep.disabled = false;
      const facts = [["outcome", told.fooled ? "fooled, by a fresh pass" : "not fooled"], ["distances", `L0 ${told.distances.l0}, L1 ${short(told.distances.l1)}, L2 ${short(told.distances.l2)}, L\u221e ${short(told.distances.linf)}`], ["passes", `${told.forwards} forward, ${told.backwards} backward, ${short(1000 * told.seconds)} ms`], ...told.flags.map((flag) => [`flag ${flag.code}`, flag.message])];
      compared(find(".panel", outcome), { pictures: (what) => `/trial/${told.trial}/${what}.png`, name: "image", factor: told.factor, answers: told, facts });
    }

    form.run.addEventListener("change", chosen);
    form.model.addEventListener("change", chosen);
    form.attack.addEventListener("change", () => { form.attack.dataset.touched = "1"; described(); });
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      keep.hidden = true;
      find(".panel", outcome).replaceChildren();
      const options = Object.fromEntries([...new FormData(form)].filter(([key, value]) => key.startsWith("option-") && value !== "").map(([key, value]) => [key.slice(7), value]));
      try {
        const told = await asked("/api/try", { run: form.run.value, model: form.model.value, position: form.elements.position.value, attack: form.attack.value, target: form.target.value, options });
        trial = told.trial;
        await follow(trial);
      } catch (error) {
        state.textContent = error.message;
      }
    });
    keep.addEventListener("click", async () => {
      keep.disabled = true;
      state.textContent = "keeping it";
      try {
        const run = await asked(`/api/trial/${trial}/keep`, {});
        state.textContent = `kept as ${run.name}`;
        await shelf();
      } catch (error) {
        state.textContent = error.message;
        keep.disabled = false;
      }
    });
    return { open };
  })();

  (async () => {
    await Promise.all([shelf(), examples.choices(), examples.load()]);
    show();
  })();
})();
