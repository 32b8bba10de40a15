// Light, dark, or as the system has it.
import { signal } from "@preact/signals";

type Theme = "system" | "light" | "dark";
const stored = localStorage.getItem("theme");
export const theme = signal<Theme>(stored === "light" || stored === "dark" ? stored : "system");
const dark = matchMedia("(prefers-color-scheme: dark)");

export function applyTheme(): void {
  theme.subscribe(show);
  dark.addEventListener("change", show);
}

export function nextTheme(): void {
  const isDark = document.documentElement.dataset.theme === "dark";
  theme.value = isDark ? "light" : "dark";
  localStorage.setItem("theme", theme.value);
}

function show(): void {
  const isDark = theme.peek() === "dark" || (theme.peek() === "system" && dark.matches);
  document.documentElement.dataset.theme = isDark ? "dark" : "light";
}
