"use strict";
// The script of all pages: live text, menus, keys, the command palette and copy buttons.
// Each page works without it.

(() => {
  const byId = (id) => document.getElementById(id);

  // A visit from another site gets `hop` in the URL; remove it, so that users do not copy it. `move` opens a menu once.
  const address = new URL(location.href);
  for (const name of ["hop", "move"]) {
    if (!address.searchParams.has(name)) continue;
    address.searchParams.delete(name);
    history.replaceState(null, "", address);
  }

  // One menu is open, and in view. A click outside or Escape closes it, and Escape returns the focus.
  const menus = () => document.querySelectorAll("details.menu[open]");
  document.addEventListener("toggle", (event) => {
    if (!event.target.matches("details.menu[open]")) return;
    for (const menu of menus()) if (menu !== event.target && !menu.contains(event.target)) menu.open = false;
    event.target.querySelector(".sheet")?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }, true);
  document.addEventListener("click", (event) => {
    for (const menu of menus()) if (!menu.contains(event.target)) menu.open = false;
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    for (const menu of menus()) {
      menu.open = false;
      menu.querySelector("summary").focus();
    }
  });

  // Copy buttons. Without the clipboard (plain HTTP), select the text for the user.
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    const from = button && byId(button.dataset.copy);
    if (!from) return;
    try {
      await navigator.clipboard.writeText(from.value ?? from.textContent.trim());
      button.dataset.label ??= button.textContent;
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = button.dataset.label; }, 2000);
    } catch {
      if (from.select) from.select();
      else getSelection().selectAllChildren(from);
    }
  });

  // The theme changes at once; the server stores it in a cookie for the next pages.
  const theme = byId("theme");
  theme?.addEventListener("submit", (event) => {
    const { value } = event.submitter;
    event.preventDefault();
    document.documentElement.dataset.theme = value;
    for (const button of theme.elements) button.setAttribute("aria-pressed", button.value === value);
    fetch(theme.action, { method: "POST", body: new URLSearchParams({ theme: value }), redirect: "manual" });
  });

  // Submit each form once. Do not disable its button, because browsers omit a disabled button's value. The forms of
  // cards are exempt: the board's script sends them.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.closest(".card") || form.method === "get" || event.defaultPrevented) return;
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "yes";
  });
  // The back button restores the page with its submitted forms; allow them again.
  addEventListener("pageshow", () => {
    for (const sent of document.querySelectorAll("[data-sent]")) delete sent.dataset.sent;
  });

  // The command palette: entries of the navigation and actions at once, then results of the search page.
  const palette = byId("palette");
  const found = byId("palette-list");
  const field = byId("palette-text");
  let search = new AbortController();
  let typing = 0;
  const show = (links, second) => links.map((link) => {
    const [item, copy] = [document.createElement("li"), document.createElement(link.localName)];
    for (const name of ["href", "form"]) if (link.hasAttribute(name)) copy.setAttribute(name, link.getAttribute(name));
    copy.append(link.textContent.trim());
    const detail = second(link);
    if (detail) copy.append(Object.assign(document.createElement("span"), { className: "second", textContent: detail }));
    item.append(copy);
    return item;
  });
  const suggest = () => {
    const text = field.value.trim();
    const pages = [...document.querySelectorAll("#nav li:not(.narrow-only) a, .side-top .sheet a, #palette-actions :is(a, button)")];
    const named = pages.filter((link) => link.textContent.toLowerCase().includes(text.toLowerCase()));
    const group = (link) => (link.closest("#nav") ? "Page" : link.closest("#palette-actions") ? "Action" : "Project");
    found.replaceChildren(...show(named, group));
    clearTimeout(typing);
    search.abort();
    byId("palette-note").textContent = "";
    if (text.length > 1) typing = setTimeout(() => lookUp(text, named.length), 250);
  };
  const lookUp = async (text, others) => {
    search = new AbortController();
    const query = new URLSearchParams(new FormData(field.form));
    try {
      const answer = await fetch(`/search?${query}`, { signal: search.signal, redirect: "error" });
      if (!answer.ok) throw new Error(String(answer.status));
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const hits = [...page.querySelectorAll("#hits > li > a")];
      found.append(...show(hits, (link) => link.nextElementSibling.textContent));
      if (hits.length + others === 0) byId("palette-note").textContent = `Nothing matches “${text}”.`;
    } catch (error) {
      if (error.name !== "AbortError") byId("palette-note").textContent = "The search failed. Press Enter to try again.";
    }
  };
  const openPalette = () => {
    if (palette.open) return;
    palette.showModal();
    field.select();
    suggest();
  };
  if (palette) {
    field.addEventListener("input", suggest);
    field.form.addEventListener("submit", (event) => {
      // No button: Enter could sign out.
      const first = found.querySelector("a");
      if (first) event.preventDefault();
      first?.click();
    });
    palette.addEventListener("keydown", (event) => {
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (!step) return;
      const stops = [field, ...found.querySelectorAll("a, button")];
      event.preventDefault();
      stops[(stops.indexOf(document.activeElement) + step + stops.length) % stops.length].focus();
    });
    palette.addEventListener("click", (event) => {
      // An entry of the same page, such as a menu, is behind the dialog.
      if (event.target === palette || event.target.closest("#palette-list :is(a, button)")) palette.close();
    });
    byId("find").addEventListener("click", (event) => {
      if (event.metaKey || event.ctrlKey || event.shiftKey) return;
      event.preventDefault();
      openPalette();
    });
  }

  // Keys. Users of speech input switch single letters off; the browser stores that.
  const keys = byId("keys");
  const keysOn = byId("keys-on");
  const setting = (value) => {
    try {
      if (value !== undefined) localStorage.setItem("keys", value);
      return localStorage.getItem("keys");
    } catch {
      return null;
    }
  };
  const isKey = (event) => {
    const types = event.target.closest("input, textarea, select, [contenteditable], dialog");
    return !(types || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) && keysOn.checked;
  };
  let afterG = false;
  if (keys) {
    keysOn.checked = setting() !== "off";
    keysOn.addEventListener("change", () => setting(keysOn.checked ? "on" : "off"));
    document.addEventListener("keydown", (event) => {
      if ((event.ctrlKey || event.metaKey) && !event.altKey && event.key.toLowerCase() === "k") {
        event.preventDefault();
        openPalette();
        return;
      }
      if (!isKey(event)) return;
      const page = afterG && document.querySelector(`#nav [data-go="${CSS.escape(event.key)}"]`);
      afterG = event.key === "g";
      if (page) {
        event.preventDefault();
        page.click();
      } else if (event.key === "/") {
        const own = document.querySelector("main input[type=search]");
        event.preventDefault();
        if (own) own.focus();
        else openPalette();
      } else if (event.key === "?") {
        keys.showPopover();
      }
    });
  }

  // Ctrl-Enter sends a form. In the agent's box Enter does too, but not on a touch screen, which has no Shift-Enter.
  document.addEventListener("keydown", (event) => {
    const { target, key, ctrlKey, metaKey } = event;
    if (key !== "Enter" || event.shiftKey || event.isComposing || !target.matches("textarea")) return;
    if (!ctrlKey && !metaKey && !(target.closest(".steer") && !matchMedia("(pointer: coarse)").matches)) return;
    event.preventDefault();
    target.form.querySelector("button").click();
  });

  // An error page of a busy server loads again by itself.
  const retry = document.querySelector("[data-retry]");
  const countDown = (left) => {
    retry.hidden = false;
    retry.querySelector("b").textContent = `${left} s`;
    if (left > 0) setTimeout(countDown, 1000, left - 1);
    else location.reload();
  };
  if (retry) countDown(Number(retry.dataset.retry));

  // On narrow screens, fold the facts so that the log is visible.
  const facts = document.querySelector("details.facts-fold");
  if (facts && matchMedia("(max-width: 719px)").matches) facts.open = false;

  // The state of live updates, in the sidebar.
  const status = byId("live-status");
  let lostAt = 0;
  const say = (words, state = "") => {
    if (!status) return;
    status.hidden = !words;
    status.className = `live ${state}`;
    if (status.textContent !== words) status.textContent = words;
  };
  const reached = () => {
    lostAt = 0;
    say("Live");
  };
  const lost = () => {
    lostAt ||= Date.now();
    const since = Date.now() - lostAt;
    const at = new Date(lostAt).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
    if (since >= 60000) say(`Out of date since ${at}`, "stale");
    else if (since >= 10000) say("Reconnecting…", "stale");
  };

  // Elements with `data-refresh` (milliseconds) and an id refresh from a new copy of the page, but not during a hover,
  // focus, selection or open details, nor with a changed field. The board's script shows its own copy.
  const fresheners = [...document.querySelectorAll("[data-refresh][id]")];
  let refreshTimer = 0;
  // The pressed element: after a drag, `:active` would stay until the pointer moves.
  let pressed = null;
  document.addEventListener("pointerdown", (event) => { pressed = event.target; });
  for (const end of ["pointerup", "pointercancel", "dragend"]) document.addEventListener(end, () => { pressed = null; });
  const isPressed = (element) => element.contains(pressed);
  const inUse = (element) => {
    if (element.querySelector("details.menu[open], [name=job]:checked") || isPressed(element)) return true;
    const selected = getSelection();
    const reads = !selected.isCollapsed && element.contains(selected.anchorNode);
    return reads || (document.activeElement !== document.body && element.contains(document.activeElement));
  };
  const isDraft = (field) => {
    if (field.matches("select")) {
      const first = Math.max(0, [...field.options].findIndex((option) => option.defaultSelected));
      return field.options.length > 0 && field.selectedIndex !== first;
    }
    return field.matches("[type=checkbox], [type=radio]") ? field.checked !== field.defaultChecked : field.value !== field.defaultValue;
  };
  const hasDraft = (element) => [...element.querySelectorAll("input, select, textarea")].some(isDraft);
  const isRead = (element) => element.matches(":hover") || element.querySelector("details[open]") || hasDraft(element) || inUse(element);
  const waits = (element) => !element.dataset.live && isRead(element);
  const version = (page) => page.querySelector("[data-version]")?.dataset.version;
  const refresh = async () => {
    clearTimeout(refreshTimer);
    try {
      if (!document.hidden && !fresheners.every(waits)) {
        const answer = await fetch(location.href, { cache: "no-store", redirect: "error", signal: AbortSignal.timeout(20000) });
        if (!answer.ok) throw new Error(String(answer.status));
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        // Do not lose text, a selection, or the answer to a form.
        const busy = pressed || !getSelection().isCollapsed || hasDraft(byId("main"))
          || document.activeElement.matches("input, select, textarea")
          || document.querySelector("details.menu[open], dialog[open], [data-sent]");
        if (version(page) !== version(document) && !busy) return location.reload();
        for (const here of fresheners) {
          const there = page.getElementById(here.id);
          if (!there || waits(here)) continue;
          here.dataset.refresh = there.dataset.refresh;
          if (here.dataset.live) here.dispatchEvent(new CustomEvent("fresh", { detail: page }));
          else if (there.innerHTML !== here.innerHTML) here.replaceChildren(...there.childNodes);
        }
        reached();
      }
    } catch {
      lost();
    }
    clearTimeout(refreshTimer);
    const pauses = fresheners.map((one) => Number(one.dataset.refresh)).filter((pause) => pause > 0);
    if (pauses.length > 0 && !document.hidden) refreshTimer = setTimeout(refresh, Math.min(...pauses));
    else if (!document.hidden) say("");
  };
  if (fresheners.some((one) => Number(one.dataset.refresh) > 0)) {
    say("Live");
    refreshTimer = setTimeout(refresh, Math.min(...fresheners.map((one) => Number(one.dataset.refresh) || 30000)));
    document.addEventListener("refresh", refresh);
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) say("Paused, the tab is hidden", "off");
      else refresh();
    });
  }

  // Comments on a pull request: the number of a line opens a form below it without loading the page again.
  const lineForm = byId("line-form");
  document.addEventListener("click", (event) => {
    const number = lineForm && event.target.closest(".diff a[data-n]");
    const discard = event.target.closest(".line-form a");
    if (!(number || discard) || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const row = event.target.closest("tr");
    if (discard) {
      discard.closest(".line-form").remove();
      row?.previousElementSibling.querySelector("a[data-n]")?.focus();
      if (!row?.querySelector(".thread, .line-form")) row?.remove();
      return;
    }
    let talk = row.nextElementSibling;
    if (!talk?.matches(".talk")) {
      talk = row.parentElement.insertRow(row.sectionRowIndex + 1);
      talk.className = "talk";
      talk.insertCell().colSpan = 4;
    }
    if (!talk.querySelector(".line-form")) {
      const form = lineForm.querySelector(".line-form").cloneNode(true);
      const { n } = number.dataset;
      form.querySelector("[name=at]").value = `${row.closest("[data-path]").dataset.path}:${n}`;
      form.querySelector("b").textContent = `${row.closest("details").querySelector("b").textContent}:${n}`;
      talk.cells[0].append(form);
    }
    talk.querySelector("textarea").focus();
  });

  // For the scripts of single pages.
  globalThis.pullyard = { byId, inUse, isKey, isPressed, lost, reached, say };
})();

// A chosen filter applies at once.
document.addEventListener("change", (event) => {
  if (event.target.matches(".filters[role=search] select")) event.target.form.requestSubmit();
});
