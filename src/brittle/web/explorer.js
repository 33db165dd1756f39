"use strict";
(() => {
  const by = (id) => document.getElementById(id);
  const content = JSON.parse(by("content").textContent);
  const OWN = "drawn"; // in place of the number of an image: the user's own

  // What each attack may be asked: [option, words, default, least, step], or choices, or yes and no.
  // Where the run has the same attack, its values are the defaults.
  const NORM = ["norm", "Norm", ["linf", "l2"]];
  const NAMES = { l0: "pixels", l2: "L2", linf: "L\u221e" };
  const FORMS = {
    fgsm: ["FGSM", "One step up the slope of the loss, as large as the budget.", [NORM, ["eps", "Budget: size of the step", 0.1, 0, 0.01]]],
    pgd: ["PGD", "Many small steps, each brought back to within the budget.", [
      NORM, ["eps", "Budget", 0.1, 0, 0.01], ["steps", "Steps", 20, 1, 1], ["random_start", "Start at random", false]]],
    deepfool: ["DeepFool", "Steps to the nearest boundary of the network, as its slopes show it; no budget.", [
      ["norm", "Norm", ["l2", "linf"]], ["max_steps", "Steps at the most", 50, 1, 1], ["overshoot", "How far beyond the boundary, as a share", 0.02, 0, 0.01]]],
    "few-pixel": ["One pixel", "Evolves the places and colours of a few pixels by the probabilities alone, without slopes.", [
      ["eps", "Pixels that may change", 1, 1, 1], ["population", "Candidates of a generation", 100, 16, 4],
      ["generations", "Generations", 20, 0, 1], ["levels", "Values of a channel", 2, 2, 1]]],
  };
  const FIXED = { fgsm: {}, pgd: { step_size: null }, deepfool: { candidates: 10 }, "few-pixel": { scale: 0.5 } };

  let exhibit; // {made, network, images, answers}
  let running = null; // what can be stopped
  let found = null; // the result that is shown

  // What is drawn is the image, until another is chosen.
  const drawing = new Drawing(by("canvas"), () => {
    for (const one of document.querySelectorAll("input[name=image]:checked")) one.checked = false;
  });
  by("clear").addEventListener("click", () => drawing.clear());

  const percent = (share) => `${(100 * share).toFixed(1)}\u00a0%`;
  const few = (value) => (value === 0 ? "0" : Number(value.toPrecision(3)).toString());
  const element = (tag, facts = {}, ...children) => {
    const made = Object.assign(document.createElement(tag), facts);
    made.append(...children);
    return made;
  };
  const choices = (select, pairs) => select.replaceChildren(...pairs.map(([value, text]) => element("option", { value, textContent: text })));

  // ---- pictures

  // levels: in [0, 255], channel by channel.
  function paint(canvas, levels, label) {
    const [channels, height, width] = exhibit.made.shape;
    Object.assign(canvas, { width, height });
    canvas.classList.toggle("pixelated", Math.max(height, width) <= content.pixelated);
    const data = new ImageData(width, height);
    const area = height * width;
    for (let at = 0; at < area; at += 1) {
      for (let c = 0; c < 3; c += 1) data.data[4 * at + c] = Math.round(levels[(channels >= 3 ? c : 0) * area + at]);
      data.data[4 * at + 3] = 255;
    }
    canvas.getContext("2d").putImageData(data, 0, 0);
    if (label) canvas.setAttribute("aria-label", label);
  }

  // ---- which network, which image

  function choose(number) {
    const made = content.networks[number];
    const network = new Network(made);
    const images = imagesOf(made.images, made.shape);
    exhibit = { made, network, images, answers: images.map((image) => argmax(network.logits(image))) };
    const thumbs = by("thumbs");
    thumbs.replaceChildren(thumbs.firstElementChild, ...images.map((image, at) => {
      const input = element("input", { type: "radio", name: "image", value: at, checked: at === 0 });
      const canvas = element("canvas");
      const name = made.classes[made.labels[at]];
      const mistaken = exhibit.answers[at] !== made.labels[at];
      input.setAttribute("aria-label", `no. ${at}: ${name}${mistaken ? `, taken for ${made.classes[exhibit.answers[at]]}` : ""}`);
      paint(canvas, image.map((v) => 255 * v));
      return element("label", { className: mistaken ? "mistaken" : "" }, input, canvas, name);
    }));
    const drawable = made.shape[0] === 1;
    by("drawing").hidden = !drawable;
    if (drawable) drawing.clear(made.shape);
    choices(by("target"), [["", "leave its class"], ...made.classes.map((name, k) => [k, `become ${name}`])]);
    choices(by("meant"), [["", "what the network sees"], ...made.classes.map((name, k) => [k, name])]);
    form();
    if (by("known")) listKnown();
    by("shown").hidden = true;
    by("told").textContent = "No attack yet.";
  }

  function chosen() {
    const at = document.querySelector("input[name=image]:checked")?.value ?? OWN;
    if (at === OWN) {
      const image = drawing.image();
      const meant = by("meant").value;
      return { image, label: meant === "" ? argmax(exhibit.network.logits(image)) : Number(meant), id: OWN };
    }
    return { image: exhibit.images[at], label: exhibit.made.labels[at], id: exhibit.made.ids[at] };
  }

  // ---- which attack

  function form() {
    const name = document.querySelector("input[name=attack]:checked").value;
    by("about").textContent = FORMS[name][1];
    const known = exhibit.made.known.find((one) => one.attack === name)?.options ?? {};
    by("options").replaceChildren(...FORMS[name][2].map(([option, words, usual, min, step]) => {
      const value = Array.isArray(usual) ? usual : known[option] ?? usual;
      if (Array.isArray(value)) {
        const select = element("select", { name: option });
        choices(select, value.map((one) => [one, NAMES[one]]));
        if (option in known) select.value = known[option];
        return element("label", {}, words, select);
      }
      const kind = typeof value === "boolean" ? { type: "checkbox", checked: value } : { type: "number", value, min, step: "any" };
      if (step === 1) kind.step = 1;
      return element("label", {}, words, element("input", { name: option, ...kind }));
    }));
  }

  function asked() {
    const attack = document.querySelector("input[name=attack]:checked").value;
    const options = { ...FIXED[attack] };
    for (const field of by("options").querySelectorAll("input, select")) {
      if (field.type !== "checkbox" && field.type !== "select-one" && !(field.value !== "" && field.checkValidity())) {
        field.reportValidity();
        return null;
      }
      options[field.name] = field.type === "checkbox" ? field.checked : field.type === "number" ? Number(field.value) : field.value;
    }
    return { attack, options };
  }

  // ---- attacking, in pieces, so that the page answers meanwhile

  const soon = () => new Promise((resolve) => { setTimeout(resolve); });

  // Runs a generator to its end, unless `token.stopped`; told: of each value.
  async function unhurried(generator, token, told = () => {}) {
    let last = performance.now();
    for (;;) {
      const { value, done } = generator.next();
      if (done) return value;
      told(value);
      if (performance.now() - last > 30) {
        await soon();
        last = performance.now();
        if (token.stopped) return null;
      }
    }
  }

  by("run").addEventListener("click", async () => {
    if (running) {
      running.stopped = true;
      return;
    }
    const question = asked();
    if (!question) return;
    const { image, label, id } = chosen();
    const target = by("target").value;
    const targeted = target !== "";
    if (targeted && question.attack === "deepfool") {
      by("told").textContent = "DeepFool only leaves a class; choose another method to become one.";
      return;
    }
    const token = { stopped: false };
    running = token;
    by("run").textContent = "Stop";
    by("told").textContent = "Attacking \u2026";
    const trail = [];
    const goal = targeted ? Number(target) : label;
    const steps = attacked(exhibit.network, image, goal, question.attack, question.options, { targeted, seed: content.seed, id });
    const result = await unhurried(steps, token, (step) => trail.push(step));
    running = null;
    by("run").textContent = "Attack";
    if (!result) {
      by("told").textContent = "Stopped.";
      return;
    }
    if (trail.at(-1).image !== result.image) trail.push({ image: result.image, logits: result.logits });
    found = { ...result, original: image, before: exhibit.network.logits(image), label, goal, targeted, trail };
    by("shown").hidden = false;
    const slider = by("step");
    Object.assign(slider, { max: trail.length - 1, value: trail.length - 1 });
    const name = exhibit.made.classes[argmax(result.logits)];
    const size = sizes(result.image);
    const [passes, slopes] = [result.forwards, result.backwards].map((count) => count.toLocaleString("en"));
    by("told").textContent = result.fooled
      ? `Fooled: it takes this for ${name}. L2 distance ${few(size.l2)}, L\u221e ${few(size.linf)}, ${size.l0} pixels changed.`
      : `Not fooled: the goal was not met.`;
    by("told").dataset.fooled = String(result.fooled);
    by("facts").replaceChildren(...[
      ["Steps", String(result.steps)], ["Passes", `${passes} forward, ${slopes} backward`],
    ].flatMap(([term, value]) => [element("dt", { textContent: term }), element("dd", { textContent: value })]));
    look();
  });

  const sizes = (image) => {
    const [, height, width] = exhibit.made.shape;
    const change = differenceOf(image, found.original);
    return { l0: MEASURES.l0(change, height * width), l2: MEASURES.l2(change), linf: MEASURES.linf(change) };
  };

  // ---- showing

  function look() {
    const { classes } = exhibit.made;
    const at = Number(by("step").value);
    const { image, logits } = found.trail[at];
    const [before, after] = [softmax(found.before), softmax(logits)];
    const [first, now] = [argmax(found.before), argmax(logits)];
    const levels = differenceOf(image, found.original).map((d) => 255 * d);
    const factor = amplification(levels, content.rule);
    const { grey } = content.rule;
    const change = factor > 1 ? `amplified ${factor.toLocaleString("en")} times` : "as strong as it is";
    paint(by("original"), found.original.map((v) => 255 * v), `The original, taken for ${classes[first]}`);
    paint(by("change"), levels.map((d) => grey + factor * d), `The change around grey, ${change}`);
    paint(by("adversarial"), image.map((v) => 255 * v), `The result, taken for ${classes[now]}`);
    by("before").textContent = classes[first];
    by("sure-before").textContent = `${percent(before[first])} sure`;
    by("factor").textContent = `\u00d7\u00a0${factor.toLocaleString("en")}`;
    by("after").textContent = classes[now];
    by("after").className = now === first ? "" : "wrong";
    by("sure-after").textContent = `${percent(after[now])} sure`;
    const size = sizes(image);
    by("at").textContent = `${at} of ${found.trail.length - 1}: L2 ${few(size.l2)}, L\u221e ${few(size.linf)}, ${size.l0} pixels`;

    // The likeliest before or after, and the goal.
    const wanted = [...classes.keys()].sort((one, other) => Math.max(before[other], after[other]) - Math.max(before[one], after[one])).slice(0, 10);
    by("classes").replaceChildren(...wanted.map((k) => {
      const head = element("th", { scope: "row" }, k === now && now !== first ? element("b", { textContent: classes[k] }) : classes[k]);
      return element("tr", {}, head, ...[before, after].map((shares) => {
        const fill = element("i");
        fill.style.width = `${100 * shares[k]}%`;
        const bar = element("div", { className: "bar" }, fill);
        bar.setAttribute("aria-hidden", "true");
        return element("td", {}, percent(shares[k]), bar);
      }));
    }));
    curve(at);
  }

  // Over the steps: the probability of the label, or of the target, and of the likeliest other class.
  function curve(at) {
    const shares = found.trail.map(({ logits }) => softmax(logits));
    const count = Math.max(1, shares.length - 1);
    const [left, right, top, bottom] = [44, 470, 12, 222];
    const x = (step) => left + ((right - left) * step) / count;
    const y = (share) => bottom - (bottom - top) * share;
    const line = (values) => values.map((v, step) => `${step ? "L" : "M"}${x(step).toFixed(1)},${y(v).toFixed(1)}`).join("");
    const other = shares.map((each) => Math.max(...each.filter((_, k) => k !== found.goal)));
    const draw = (tag, facts, text = "") => {
      const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
      for (const [name, value] of Object.entries(facts)) made.setAttribute(name, value);
      made.textContent = text;
      return made;
    };
    const ticks = [...new Set([0, 0.25, 0.5, 0.75, 1].map((share) => Math.round(share * (shares.length - 1))))];
    by("curve").replaceChildren(
      by("curve").firstElementChild,
      ...[0, 0.5, 1].flatMap((share) => [
        draw("path", { class: "axis", d: `M${left},${y(share)}H${right}` }),
        draw("text", { x: left - 6, y: y(share) + 4, "text-anchor": "end" }, `${100 * share}\u00a0%`),
      ]),
      ...ticks.map((step) => draw("text", { x: x(step), y: bottom + 18, "text-anchor": "middle" }, step)),
      draw("text", { x: (left + right) / 2, y: bottom + 34, "text-anchor": "middle" }, "step"),
      draw("path", { class: "here", d: `M${x(at)},${top}V${bottom}` }),
      draw("path", { class: "own", d: line(shares.map((each) => each[found.goal])) }),
      draw("path", { class: "other", d: line(other) }),
    );
    const name = exhibit.made.classes[found.goal];
    by("curve-title").textContent = `Over ${count} steps the probability of ${name} goes from ${percent(shares[0][found.goal])} to ${percent(shares.at(-1)[found.goal])}.`;
    by("legend").replaceChildren(
      element("span", {}, element("i", { className: "own" }), `probability of ${name}`),
      element("span", {}, element("i", { className: "other" }), "of the likeliest other class"),
    );
  }

  // ---- beside Python

  function listKnown() {
    by("known").replaceChildren(...exhibit.made.known.map(({ label, fooled }) => element("tr", {},
      element("th", { scope: "row", textContent: label }),
      element("td", { textContent: `${fooled.filter(Boolean).length} of ${fooled.length}` }),
      ...["", "", ""].map(() => element("td", { textContent: "\u2013" })))));
    by("progress").textContent = "";
  }

  by("all")?.addEventListener("click", async () => {
    if (running) {
      running.stopped = true;
      return;
    }
    const token = { stopped: false };
    running = token;
    by("all").textContent = "Stop";
    const { made, network, images } = exhibit;
    const area = made.shape[1] * made.shape[2];
    for (const [row, one] of made.known.entries()) {
      let [count, differ, most] = [0, 0, 0];
      for (const [at, image] of images.entries()) {
        const extra = { seed: content.seed, id: made.ids[at] };
        const result = await unhurried(attacked(network, image, made.labels[at], one.attack, one.options, extra), token);
        if (!result) break;
        count += result.fooled;
        differ += result.fooled !== one.fooled[at];
        const size = MEASURES[one.options.norm ?? "l0"](differenceOf(result.image, image), area);
        most = Math.max(most, Math.abs(size - one.size[at]));
        by("progress").textContent = `${one.label}: ${at + 1} of ${images.length}`;
      }
      if (token.stopped) break;
      const cells = by("known").rows[row].cells;
      [`${count} of ${images.length}`, String(differ), few(most)].forEach((text, cell) => { cells[cell + 2].textContent = text; });
    }
    by("progress").textContent = token.stopped ? "Stopped." : "Done.";
    by("all").textContent = "Attack all images";
    running = null;
  });

  by("attacks").append(...Object.entries(FORMS).map(([name, [title]], at) => element("label", {},
    element("input", { type: "radio", name: "attack", value: name, checked: at === 0 }), element("span", { textContent: title }))));
  by("attacks").addEventListener("change", form);
  by("step").addEventListener("input", look);
  choices(by("network"), content.networks.map(({ name }, at) => [at, name]));
  by("networks").hidden = content.networks.length < 2;
  by("network").addEventListener("change", () => {
    if (running) running.stopped = true;
    choose(Number(by("network").value));
  });
  choose(0);
})();
