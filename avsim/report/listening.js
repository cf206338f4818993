// Votes of a listening test: kept in the page (and by the browser, where it can), saved as csv.

class Votes {
  constructor(root) {
    Object.assign(this, { root, test: root.dataset.test, named: "", all: {} }); // all: the votes of each listener
    this.listener = root.querySelector(".listener");
    this.sections = [...document.querySelectorAll(".group[data-row]")];
    try {
      Object.assign(this, JSON.parse(localStorage.getItem(this.test) ?? "{}"));
    } catch {} // a browser that keeps nothing of files
    this.listener.value = this.named;
    this.votes = this.all[this.named] ??= {};
    this.listener.addEventListener("change", () => this.rename(this.listener.value.trim()));
    for (const section of this.sections) {
      for (const button of section.querySelectorAll("[data-vote]")) {
        button.addEventListener("click", () => this.vote(section, button.dataset.vote));
      }
    }
    root.querySelector(".save").addEventListener("click", () => this.save());
    document.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest?.("input")) return;
      const vote = { 1: "left", 2: "right", 0: "same" }[event.key];
      const section = Card.near()?.group?.root;
      if (vote && section) this.vote(section, vote);
    });
    this.show();
  }

  rename(name) {
    // Votes without a name become those of the first name given; another listener's start from none.
    if (!this.named && name) {
      this.all[name] = { ...this.all[name], ...this.votes };
      delete this.all[""];
    }
    this.named = name;
    this.votes = this.all[name] ??= {};
    this.keep();
  }

  vote(section, vote) {
    this.votes[section.dataset.row] = vote;
    this.keep();
  }

  keep() {
    try {
      localStorage.setItem(this.test, JSON.stringify({ all: this.all, named: this.named }));
    } catch {}
    this.show();
  }

  show() {
    for (const section of this.sections) {
      const vote = this.votes[section.dataset.row];
      for (const button of section.querySelectorAll("[data-vote]")) button.setAttribute("aria-pressed", String(button.dataset.vote === vote));
    }
    this.root.querySelector(".count").textContent = `voted on ${Object.keys(this.votes).length} of ${this.sections.length}`;
  }

  csv() {
    const name = `"${this.listener.value.replace(/["\r\n]/g, "'").replace(/^[=+@-]/, "'")}"`;
    const lines = Object.entries(this.votes).map(([row, vote]) => [this.test, name, row, vote].join(","));
    return ["test,listener,row,vote", ...lines, ""].join("\n");
  }

  save() {
    const address = URL.createObjectURL(new Blob([this.csv()], { type: "text/csv" }));
    element("a", { href: address, download: `votes-${this.test}.csv` }).click();
    setTimeout(() => URL.revokeObjectURL(address), 1000);
  }
}

document.addEventListener("DOMContentLoaded", () => {
  window.votes = new Votes(document.querySelector(".votes"));
});
