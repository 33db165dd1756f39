"use strict";
(() => {
  const key = JSON.parse(document.getElementById("key").textContent);
  const trials = [...document.querySelectorAll(".trial")];
  const reveal = document.getElementById("reveal");
  const chosen = (trial) => trial.querySelector("input:checked");

  function count() {
    const left = trials.filter((trial) => !chosen(trial)).length;
    document.getElementById("left").textContent = left ? `${left} of ${trials.length} pairs are left to judge.` : "";
    reveal.disabled = left > 0;
  }

  reveal.addEventListener("click", () => {
    for (const section of document.querySelectorAll(".trials")) {
      const group = Number(section.dataset.group);
      let right = 0;
      section.querySelectorAll(".trial").forEach((trial, at) => {
        const answer = key.answers[group][at] ? "first" : "second";
        const found = chosen(trial).value === answer;
        right += found;
        const names = answer === "first" ? key.names : [...key.names].reverse();
        trial.querySelectorAll("figcaption b").forEach((caption, side) => {
          caption.textContent = names[side];
        });
        trial.querySelector("legend").textContent = found ? "right" : "wrong";
        trial.querySelector("legend").className = found ? "reached" : "wrong";
        for (const input of trial.querySelectorAll("input")) input.disabled = true;
      });
      const said = document.createElement("p");
      said.textContent = key.verdicts[group][right];
      document.getElementById("verdicts").append(said);
    }
    reveal.hidden = true;
    document.getElementById("left").textContent = "";
  });
  for (const trial of trials) trial.addEventListener("change", count);
  count();
})();
