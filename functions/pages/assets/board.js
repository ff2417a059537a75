"use strict";
// Board: `c` opens the form for a new ticket, and a chosen filter applies at once. The page works without it.

(() => {
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input, textarea, select, [contenteditable]");
    if (event.key !== "c" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
    const quick = document.getElementById("quick");
    if (!quick) return;
    event.preventDefault();
    quick.open = true;
    document.getElementById("quick-title").focus();
  });

  document.addEventListener("change", (event) => {
    if (event.target.matches(".filters[role=search] select")) event.target.form.requestSubmit();
  });
})();
