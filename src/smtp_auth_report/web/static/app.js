// What a page gains where scripts run: keyboard, side panels that close, rows that open. All of it also works as links and forms.
(() => {
  const find = (selector, root = document) => root.querySelector(selector);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];

  // Theme: light, dark, as the system.
  const THEMES = ["auto", "light", "dark"];
  const showTheme = () => {
    const button = find("#theme");
    if (!button) return;
    const choice = document.documentElement.dataset.themeChoice;
    button.setAttribute("aria-label", button.dataset[choice]);
    button.title = button.dataset[choice];
  };
  document.addEventListener("click", (event) => {
    if (!event.target.closest("#theme")) return;
    const now = THEMES.indexOf(document.documentElement.dataset.themeChoice);
    window.chooseTheme(THEMES[(now + 1) % THEMES.length]);
    showTheme();
  });

  // Menus and panels are <details>: Esc and a click elsewhere close them.
  const closable = "details.menu[open], details.panel[open], details.doubt[open]";
  const close = (details) => {
    details.open = false;
    find("summary", details).focus();
  };
  document.addEventListener("click", (event) => {
    const closer = event.target.closest("[data-close]");
    if (closer) { close(closer.closest("details")); return; }
    all(closable).forEach((details) => { if (!details.contains(event.target)) details.open = false; });
  });
  document.addEventListener("toggle", (event) => {
    const details = event.target;
    if (!(details instanceof HTMLDetailsElement) || !details.open) return;
    if (details.matches(".panel, .menu")) find("[data-first], input:not([type=hidden])", details)?.focus();
  }, true);

  // The flyout opens over the page and has an address of its own.
  const flyout = () => find("#flyout");
  document.addEventListener("htmx:after:swap", () => {
    const dialog = flyout();
    if (dialog && !dialog.open && find("#flyout-content", dialog)) {
      dialog.dataset.behind = location.href;
      dialog.showModal();
      history.replaceState(history.state, "", dialog.dataset.address);
    }
  });
  const closed = (event) => {
    const dialog = event.target;
    if (!(dialog instanceof HTMLDialogElement) || dialog.id !== "flyout") return;
    find("#flyout-body").replaceChildren();
    history.replaceState(history.state, "", dialog.dataset.behind);
  };
  document.addEventListener("close", closed, true);
  document.addEventListener("click", (event) => {
    const dialog = flyout();
    if (!dialog?.open) return;
    if (event.target === dialog || event.target.closest("[data-close-flyout]")) { event.preventDefault(); dialog.close(); }
  });

  // Keyboard: / searches, f opens the filters, arrows move over rows.
  const typing = (element) => element.closest("input, select, textarea, [contenteditable]");
  const moveRow = (step, from) => {
    const links = all("a[data-row]", from.closest("table") || find("table.details") || document);
    if (!links.length) return false;
    const row = from.closest("tr");
    const now = links.findIndex((link) => link.closest("tr") === row);
    links[Math.max(0, Math.min(links.length - 1, now + step))].focus();
    return true;
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape") {
      const open = all(closable).pop();
      if (open) { event.preventDefault(); close(open); }
      return;
    }
    if (typing(event.target) || flyout()?.open) return;
    if (event.key === "/" && find("#search")) { event.preventDefault(); find("#search").focus(); }
    if (event.key === "f" && find("#filters")) { event.preventDefault(); find("#filters").open = true; }
    const inTable = event.target.closest(".table-frame, table.details");
    if (inTable && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
      if (moveRow(event.key === "ArrowDown" ? 1 : -1, event.target)) event.preventDefault();
    }
  });
  document.addEventListener("click", (event) => {
    const row = event.target.closest("tr.opens");
    if (!row || event.target.closest("a, button, summary, input") || String(getSelection())) return;
    find("a[data-row]", row)?.click();
  });

  // A list of choices that can be narrowed by typing, and text fields that collect several values.
  document.addEventListener("input", (event) => {
    const field = event.target.closest("[data-narrows]");
    if (!field) return;
    const wanted = field.value.toLowerCase();
    all("li", document.getElementById(field.dataset.narrows)).forEach((item) => {
      item.hidden = !item.textContent.toLowerCase().includes(wanted);
    });
  });
  const collect = (field) => {
    const value = field.value.trim();
    if (!value) return;
    const label = document.createElement("label");
    const box = document.createElement("input");
    const text = document.createElement("bdi");
    label.className = "form-check";
    Object.assign(box, { type: "checkbox", name: field.name, value, checked: true, className: "form-check-input" });
    text.className = "form-check-label";
    text.textContent = value;
    label.append(box, text);
    field.before(label);
    field.value = "";
  };
  document.addEventListener("keydown", (event) => {
    const field = event.target.closest?.("[data-collects]");
    if (field && event.key === "Enter" && field.value.trim()) { event.preventDefault(); collect(field); }
  });
  document.addEventListener("change", (event) => {
    const field = event.target;
    if (field.matches("[data-collects]")) collect(field);
    if (field.matches("#filter-from, #filter-to")) all("input[name=days]", field.form).forEach((choice) => { choice.checked = choice.value === ""; });
    if (field.matches("input[name=days]") && field.value) ["#filter-from", "#filter-to"].forEach((name) => { find(name).value = ""; });
  });

  // A table that is too wide for its place scrolls there; any other scrolls with the page, under its own heading.
  const fitTables = () => all(".table-frame").forEach((frame) => {
    frame.classList.remove("wide");
    frame.classList.toggle("wide", frame.scrollWidth > frame.clientWidth + 1);
  });
  document.addEventListener("htmx:after:swap", fitTables);
  addEventListener("resize", fitTables);

  // On a narrow screen the tabs scroll: the page that is open is in sight.
  const tabs = find(".tabs");
  const here = find(".tabs [aria-current]");
  if (here) tabs.scrollLeft = here.offsetLeft - tabs.offsetLeft - (tabs.clientWidth - here.offsetWidth) / 2;

  fitTables();
  showTheme();
})();
