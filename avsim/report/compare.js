// Clips of one prompt beside each other: one playhead, the audio of one of them, and what differs from the first.

const APART = 0.008; // seconds by which a clip may be off the one that is heard, before its speed is changed
const FAR = 0.15; // and before it is set anew
const PULL = 2; // change of speed for each second that a clip is off
const MOST = 0.08; // change of speed at most

/** Cards that play together. */
class Group {
  constructor(root) {
    this.root = root;
    this.cards = [...root.querySelectorAll(".card:not(.broken)")].map(Card.of);
    this.heard = this.cards[0];
    for (const card of this.cards) {
      card.group = this;
      card.root.addEventListener("pointerenter", (event) => event.pointerType === "mouse" && this.hear(card));
      card.root.addEventListener("pointerdown", () => this.hear(card));
      card.onbuilt = () => this.#built(card);
    }
    for (const card of this.cards) if (card.built) this.#built(card);
    Group.all.push(this);
  }

  static all = [];

  get playing() {
    return this.cards.some((card) => card.playing);
  }

  get seconds() {
    return Math.max(...this.cards.filter((card) => card.built).map((card) => card.seconds), 0);
  }

  #built(card) {
    const { seconds } = this;
    for (const each of this.cards.filter((one) => one.tracks)) each.tracks.parentElement.style.width = `${(100 * each.seconds) / seconds}%`;
    if (card.media) card.media.loop = false; // all begin again together
    this.hear(this.heard);
    if (card !== this.cards[0] && this.cards[0].built) differences(this.cards[0], card);
    if (card === this.cards[0]) for (const other of this.cards.slice(1)) if (other.built) differences(card, other);
  }

  /** The card whose audio is heard. */
  hear(card) {
    this.heard = card;
    for (const each of this.cards) {
      each.root.classList.toggle("heard", each === card);
      if (each.mixer) each.mixer.enabled = each === card; // its media are muted, and so run by one clock
      else if (each.media) each.media.muted = each !== card;
    }
  }

  play() {
    for (const card of Card.all) if (card.group !== this && card.playing) card.pause();
    for (const card of this.cards) card.enter();
    const moment = this.heard.now() >= this.heard.seconds - 0.02 ? 0 : this.heard.now();
    for (const card of this.cards) {
      if (card.media && Math.abs(card.now() - moment) > APART) card.media.currentTime = Math.min(moment, card.seconds);
    }
    for (const card of this.cards) if (moment < card.seconds - 0.02) card.start();
  }

  pause() {
    this.cards.forEach((card) => card.pause());
    this.go(this.heard.now());
  }

  go(seconds) {
    this.cards.forEach((card) => card.go(Math.min(seconds, card.seconds)));
  }

  seek(seconds) {
    this.go(seconds);
  }

  /** Once a frame: keep the others with the one that is heard. */
  follow() {
    const leader = this.heard.playing ? this.heard : this.cards.find((card) => card.playing);
    if (!leader) {
      if (this.ran && settings.loop && this.cards.every((card) => !card.media || card.media.ended || card.now() >= card.seconds - 0.1)) this.play();
      this.ran = false;
      return;
    }
    this.ran = true;
    leader.media.playbackRate = settings.speed;
    for (const card of this.cards) {
      if (card === leader || !card.playing || card.media.seeking) continue;
      const off = card.media.currentTime - leader.media.currentTime;
      card.off = off;
      if (Math.abs(off) > FAR) card.media.currentTime = Math.min(leader.media.currentTime, card.seconds);
      const pull = Math.abs(off) > APART ? Math.max(-MOST, Math.min(MOST, -PULL * off)) : 0;
      const speed = settings.speed * (1 + pull);
      if (card.media.playbackRate !== speed) card.media.playbackRate = speed;
    }
  }

  static tick() {
    requestAnimationFrame(Group.tick);
    for (const group of Group.all) if (group.playing || group.ran) group.follow();
  }
}

/** An image as pixels of a size. */
async function pixelsOf(address, width, height) {
  const image = new Image();
  image.src = address;
  await image.decode();
  const drawing = element("canvas", { width, height }).getContext("2d");
  drawing.drawImage(image, 0, 0, width, height);
  return drawing.getImageData(0, 0, width, height);
}

/** Two tracks below a card's: by how much its frames and its spectrogram differ from the first card's. */
async function differences(first, card) {
  if (card.tracks.querySelector(".differing")) return;
  const label = first.root.getAttribute("aria-label").split(" ")[0];
  const track = (name, title) => {
    const canvas = element("canvas", { role: "img", "aria-label": title });
    const made = element("div", { class: `track differing ${name}`, title }, canvas, element("span", { class: "top" }, title));
    card.head.before(made);
    return canvas;
  };
  if (first.data.strip && card.data.strip) {
    const canvas = track("frames-apart", `frames − ${label}`);
    const [width, height] = [480, 36];
    const [one, other] = await Promise.all([first, card].map(({ data }) => pixelsOf(data.strip, width, height)));
    const shown = new ImageData(width, height);
    for (let i = 0; i < shown.data.length; i += 4) {
      const apart = [0, 1, 2].reduce((sum, c) => sum + Math.abs(one.data[i + c] - other.data[i + c]), 0) / 3;
      shown.data.set([...colour(apart / 128), 255], i);
    }
    Object.assign(canvas, { width, height });
    canvas.getContext("2d").putImageData(shown, 0, 0);
  }
  if (first.data.mel && card.data.mel) {
    const canvas = track("mel-apart", `audio − ${label}: blue quieter, red louder`);
    const [one, other] = await Promise.all([first, card].map(({ data }) => levelsOf(data.mel)));
    const { width, height } = one;
    const shown = new ImageData(width, height);
    const [faint, range] = [255 * 0.3, 255 * 0.3]; // levels below -70 dB count as silence; full colour at 30 dB
    for (let i = 0; i < width * height; i++) {
      const gap = (Math.max(other.levels[i], faint) - Math.max(one.levels[i], faint)) / range;
      const [red, blue] = [Math.max(0, Math.min(1, gap)), Math.max(0, Math.min(1, -gap))];
      shown.data.set([24 + 231 * red + 30 * blue, 26 + 60 * red + 130 * blue, 30 + 50 * red + 225 * blue, 255], 4 * i);
    }
    Object.assign(canvas, { width, height });
    canvas.getContext("2d").putImageData(shown, 0, 0);
  }
}

// Metrics over steps ------------------------------------------------------------------------------------------------

function plotted(root) {
  const { names, curves } = JSON.parse(root.querySelector("script").textContent);
  const style = getComputedStyle(document.documentElement);
  const [text, line] = ["--text", "--line"].map((name) => style.getPropertyValue(name).trim());
  const axis = { stroke: text, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 } };
  const sync = uPlot.sync("steps");
  for (const [metric, columns] of Object.entries(curves)) {
    const holder = element("div", { class: "plot" });
    root.append(holder);
    const steps = [...new Set(columns.flatMap((points) => points.map(([step]) => step)))].sort((a, b) => a - b);
    const values = columns.map((points) => {
      const found = new Map(points);
      return steps.map((step) => found.get(step) ?? null);
    });
    const series = names.map((label, k) => ({ label, stroke: HUES[k % HUES.length], width: 1.5, spanGaps: true, points: { show: steps.length < 30 } }));
    const width = Math.min(400, root.clientWidth - 8);
    new uPlot({ title: metric, width, height: 200, scales: { x: { time: false } }, axes: [axis, { ...axis, size: 56 }],
      cursor: { sync: { key: sync.key } }, series: [{ label: "step" }, ...series] }, [steps, ...values], holder);
  }
}

document.addEventListener("DOMContentLoaded", () => {
  for (const root of document.querySelectorAll(".group")) new Group(root);
  for (const root of document.querySelectorAll("details.curves")) {
    root.addEventListener("toggle", () => root.querySelector(".plot") || plotted(root));
  }
});
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest?.("input, select, textarea")) return;
  const index = "abcdefgh".indexOf(event.key.toLowerCase());
  const group = Card.near()?.group;
  if (index >= 0 && event.key.length === 1 && group?.cards[index]) group.hear(group.cards[index]);
});
requestAnimationFrame(Group.tick);
window.groups = Group.all;
