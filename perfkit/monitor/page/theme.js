// Light or dark: as the system says, or as chosen; the choice outlives the tab where that is allowed.

import { byId } from "./dom.js";

const KEY = "perfkit-theme";
const system = matchMedia("(prefers-color-scheme: dark)");

function remembered() {
  try {
    return localStorage.getItem(KEY) ?? "auto";
  } catch {
    return "auto";
  }
}

function remember(choice) {
  try {
    localStorage.setItem(KEY, choice);
  } catch {
    // A browser that keeps nothing: the choice holds for this page.
  }
}

let choice = remembered();

export function isDark() {
  return choice === "dark" || (choice === "auto" && system.matches);
}

export function startTheme(changed) {
  const select = byId("theme");
  const apply = () => {
    document.documentElement.dataset.theme = isDark() ? "dark" : "light";
    changed();
  };
  select.value = ["auto", "light", "dark"].includes(choice) ? choice : "auto";
  select.addEventListener("change", () => {
    choice = select.value;
    remember(choice);
    apply();
  });
  system.addEventListener("change", apply);
  apply();
}
