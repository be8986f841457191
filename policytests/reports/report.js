"use strict";
// Filters the results; the page is whole without it.
(() => {
  const filter = document.getElementById("filter");
  const onlyBad = document.getElementById("only-bad");
  const shown = document.getElementById("shown");
  const cases = [...document.querySelectorAll(".case")];
  const update = () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const item of cases) {
      const bad = item.classList.contains("failed") || item.classList.contains("error");
      const text = item.textContent.toLowerCase();
      item.hidden = (onlyBad.checked && !bad) || !words.every((word) => text.includes(word));
      count += item.hidden ? 0 : 1;
    }
    for (const suite of document.querySelectorAll(".suite")) {
      if (words.length || onlyBad.checked) {
        suite.open = suite.querySelector(".case:not([hidden])") !== null;
      }
    }
    shown.textContent = `${count} of ${cases.length}`;
  };
  filter.addEventListener("input", update);
  onlyBad.addEventListener("change", update);
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && document.activeElement !== filter) {
      event.preventDefault();
      filter.focus();
    } else if (event.key === "Escape" && document.activeElement === filter) {
      filter.value = "";
      update();
    }
  });
  update();
})();
