// A picture that was drawn step by step, with a button that plays it and a slider. Without this it is shown whole.
"use strict";
for (const figure of document.querySelectorAll("figure.plane")) {
  const list = figure.querySelector(".steps");
  if (!list) continue;
  const captions = [...list.children].map((one) => one.textContent);
  const last = captions.length - 1;
  const parts = [...figure.querySelectorAll("[data-step]")];
  const bar = document.createElement("div");
  bar.className = "player";
  const button = document.createElement("button");
  button.type = "button";
  const slider = Object.assign(document.createElement("input"), { type: "range", min: 0, max: last, value: last });
  slider.setAttribute("aria-label", "step");
  const told = document.createElement("output");
  bar.append(button, slider, told);
  figure.querySelector(".drawing").append(bar);
  let timer = 0;

  const show = (step) => {
    slider.value = step;
    slider.setAttribute("aria-valuetext", captions[step]);
    told.textContent = captions[step];
    for (const part of parts) {
      const until = part.dataset.until;
      const there = Number(part.dataset.step) <= step && (until === undefined || step <= Number(until));
      part.style.display = there ? "inline" : "none";
    }
  };
  const stop = () => {
    clearInterval(timer);
    timer = 0;
    button.textContent = "Play";
  };
  const play = () => {
    button.textContent = "Pause";
    if (Number(slider.value) === last) show(0);
    timer = setInterval(() => {
      const next = Number(slider.value) + 1;
      show(next);
      if (next === last) stop();
    }, Math.max(250, Math.min(1400, 9000 / last)));
  };
  button.addEventListener("click", () => (timer ? stop() : play()));
  slider.addEventListener("input", () => {
    stop();
    show(Number(slider.value));
  });
  stop();
  show(last);
  told.textContent = captions[last];
}
