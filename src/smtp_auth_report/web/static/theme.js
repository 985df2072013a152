// Applies the reader's theme before anything is painted: "light", "dark" or what the system prefers. Paper is light.
(() => {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const chosen = () => {
    try { return localStorage.getItem("theme") || "auto"; } catch { return "auto"; }
  };
  let printing = false;
  const apply = () => {
    const choice = chosen();
    const dark = !printing && (choice === "dark" || (choice === "auto" && system.matches));
    document.documentElement.dataset.bsTheme = dark ? "dark" : "light";
    document.documentElement.dataset.themeChoice = choice;
    document.dispatchEvent(new Event("theme-change"));
  };
  document.documentElement.classList.add("js");
  system.addEventListener("change", apply);
  addEventListener("beforeprint", () => { printing = true; apply(); });
  addEventListener("afterprint", () => { printing = false; apply(); });
  apply();
  window.chooseTheme = (choice) => {
    try { localStorage.setItem("theme", choice); } catch { /* private windows keep it for the page */ }
    apply();
  };
})();
