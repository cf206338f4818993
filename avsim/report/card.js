// The card of a clip: its video over controls, beside a strip of frames, a waveform and a spectrogram on one time axis.

const NEAR = "120%"; // of the window's height from which on a card is built, and keeps its video
const SHADES = 70; // dB from the loudest point of a spectrogram, or of those beside each other, to black
const QUIET = 90; // level (255 is 0 dB) that counts as the loudest point of what is quieter
const scales = new WeakMap(); // element around cards beside each other -> {loudest, cards}: their shades are the same
const SPEEDS = [[1, "1×"], [0.5, "½×"], [0.25, "¼×"]];
const settings = { loop: false, smooth: false, speed: 1 };

/** The grey levels of a spectrogram's PNG, low bands below: {width, height, levels (0 ... 255)}. */
async function levelsOf(address) {
  const image = new Image();
  image.src = address;
  await image.decode();
  const drawing = element("canvas", { width: image.width, height: image.height }).getContext("2d");
  drawing.drawImage(image, 0, 0);
  const pixels = drawing.getImageData(0, 0, image.width, image.height).data;
  return { width: image.width, height: image.height, levels: pixels.filter((_, i) => i % 4 === 0) };
}

/** The lowest and highest sample of each of `count` spans, of all channels, as the page holds a clip's: in 127ths. */
function peaksOf(channels, count) {
  const peaks = new Float32Array(2 * count);
  const span = channels[0].length / count;
  for (let i = 0; i < count; i++) {
    const [first, last] = [Math.floor(i * span), Math.ceil((i + 1) * span)];
    let [low, high] = [1, -1];
    for (const wave of channels) {
      for (let n = first; n < last; n++) {
        if (wave[n] < low) low = wave[n];
        if (wave[n] > high) high = wave[n];
      }
    }
    peaks.set([127 * low, 127 * high], 2 * i);
  }
  return peaks;
}

/** Paint levels by a function of a level -> [red, green, blue]. */
function paint(canvas, { width, height, levels }, shade) {
  Object.assign(canvas, { width, height });
  const drawing = canvas.getContext("2d");
  const image = drawing.createImageData(width, height);
  levels.forEach((level, i) => image.data.set([...shade(level), 255], 4 * i));
  drawing.putImageData(image, 0, 0);
}

class Card {
  constructor(root) {
    Object.assign(this, { root, number: Card.all.length, built: false, group: null });
    this.space = root.querySelector(".player");
    root.dataset.number = this.number;
    root.addEventListener("pointerdown", () => Card.choose(this));
    root.addEventListener("focusin", () => Card.choose(this));
    Card.watcher.observe(root);
    Card.all.push(this);
  }

  static all = [];
  static current = null;
  static watcher = new IntersectionObserver(
    (seen) => seen.forEach((each) => Card.of(each.target)[each.isIntersecting ? "enter" : "leave"]()),
    { rootMargin: NEAR },
  );
  static of = (root) => Card.all[Number(root.dataset.number)];

  static choose(card) {
    if (Card.current === card) return;
    Card.current?.root.classList.remove("current");
    Card.current = card;
    card.root.classList.add("current");
  }

  // A player that is there when it is needed -----------------------------------------------------------------------

  enter() {
    if (!this.built) this.build();
    if (this.media && !this.media.hasAttribute("src")) this.media.src = this.data.source;
  }

  /** Browsers play a few dozen videos at a time: those far away give theirs back. */
  leave() {
    if (!this.media?.hasAttribute("src") || this.playing) return;
    this.media.removeAttribute("src");
    this.media.load();
  }

  build() {
    this.built = true;
    this.data = JSON.parse(this.root.querySelector("script[type='application/json']").textContent);
    const { kind, size } = this.data;
    this.seconds = this.data.seconds;
    this.mixer = null;
    if (kind.startsWith("image")) {
      this.space.append(this.#stage(element("img", { src: this.data.source, alt: "" })));
      return;
    }
    const video = Boolean(size);
    this.media = element(video ? "video" : "audio", { playsinline: "", preload: "auto", tabindex: -1, "aria-hidden": "true" });
    this.media.loop = settings.loop && !this.group;
    this.media.addEventListener("error", () => this.#failed());
    this.media.addEventListener("click", () => this.pixels || this.toggle());
    this.#strips();
    this.spectrum = null;
    const left = element("div", { class: "seen" }, video ? this.#stage(this.media) : this.media, this.#controls());
    const right = element("div", { class: "timeline" }, this.#tracks(), this.root.querySelector(".judged"));
    this.space.append(left, right, ...this.#desk());
    this.root.classList.toggle("audio", !video);
    if (this.desk) this.#mixed();
    this.pixels?.build(left);
    this.show();
    this.onbuilt?.();
  }

  #strips() {
    const { stems, maps, audio, peak, channels } = this.data;
    const split = (wave) => {
      const whole = Float32Array.from(new Int16Array(bufferOf(wave)), (x) => (x * peak) / 32767);
      const length = whole.length / channels;
      return Array.from({ length: channels }, (_, a) => whole.slice(a * length, (a + 1) * length));
    };
    let [strips, rate] = [[], this.data.rate];
    this.desk = Boolean(stems || maps);
    if (maps) {
      this.pixels = new Pixels(this, maps);
      [strips, rate] = [this.pixels.strips, maps.rate];
    } else if (stems) {
      strips = stems.map(({ name, wave, level, outline, mel }, number) => new Strip(number, name, split(wave), level, outline, { mel }));
    } else if (audio) strips = [new Strip(0, "audio", split(audio), 0, null)];
    if (!strips.length) return;
    this.mixer = new Mixer(strips, rate);
    this.media.muted = true; // its stems are heard, which add up to its audio
  }

  #failed() {
    if (!this.media.hasAttribute("src")) return;
    this.root.classList.add("failed");
    this.clock.textContent = "this browser can't play the file";
  }

  #stage(shown) {
    const [height, width] = this.data.size ?? [1, 1];
    this.stage = element("div", { class: "stage" }, shown);
    const wide = width >= 320 ? Math.min(width, 560) : Math.ceil(320 / width) * width;
    this.root.style.setProperty("--wide", `${Math.max(320, Math.min(wide, Math.round((480 * width) / height)))}px`);
    this.stage.style.aspectRatio = `${width} / ${height}`;
    this.stage.classList.toggle("small", width < 320);
    return this.stage;
  }

  #controls() {
    const button = (text, label, onclick, name = "") => element("button", { type: "button", "aria-label": label, title: label, class: name, onclick }, text);
    this.button = button("▶", "Play (space)", () => this.toggle(), "play");
    this.clock = element("span", { class: "clock" });
    const speed = element("select", { "aria-label": "Speed", title: "Speed", class: "speed", onchange: (event) => Card.set("speed", Number(event.target.value)) },
      ...SPEEDS.map(([value, text]) => element("option", { value }, text)));
    const toggle = (key, text, label) => element("button", {
      type: "button", class: key, title: label, "aria-label": label, "aria-pressed": String(settings[key]),
      onclick: () => Card.set(key, !settings[key]),
    }, text);
    const small = this.data.size && this.data.size[1] < 320;
    return element("div", { class: "controls" }, this.button,
      button("◂", "A frame back (left arrow)", () => this.step(-1)), button("▸", "A frame on (right arrow)", () => this.step(1)),
      this.clock, speed, toggle("loop", "↻", "Repeat (L)"), ...(small ? [toggle("smooth", "smooth", "Smooth the enlarged pixels")] : []));
  }

  /** Change what all cards share. */
  static set(key, value) {
    settings[key] = value;
    document.documentElement.classList.toggle("smooth", settings.smooth);
    for (const card of Card.all.filter((each) => each.built && each.media)) {
      card.media.loop = settings.loop && !card.group; // a group begins again together
      card.media.playbackRate = settings.speed;
      card.root.querySelector("select.speed").value = settings.speed;
      card.root.querySelector(`button.${key}`)?.setAttribute("aria-pressed", String(value));
    }
  }

  // Tracks over time ----------------------------------------------------------------------------------------------

  #tracks() {
    const { strip, peaks, mel, events, onsets, seconds, top } = this.data;
    const rows = [];
    const row = (name, shown, label) => rows.push(element("div", { class: `track ${name}`, title: label }, shown, ...this.#ticks()));
    if (strip) row("frames", element("img", { src: strip, alt: "Frames", draggable: "false" }), "Frames");
    if (peaks) row("wave", this.#wave(new Int8Array(bufferOf(peaks))), "Waveform");
    if (mel) {
      this.canvas = element("canvas", { role: "img", "aria-label": "Log-mel spectrogram" });
      row("mel", this.canvas, `Log-mel spectrogram, 30 Hz to ${(top / 1000).toFixed(0)} kHz, ${SHADES} dB from bright to black`);
      rows.at(-1).append(element("span", { class: "top" }, `${(top / 1000).toFixed(0)} kHz`), element("span", { class: "bottom" }, "30 Hz"));
      this.spectrogram(mel);
    }
    this.head = element("span", { class: "head" });
    this.tracks = element("div", { class: "tracks" }, ...rows, this.head);
    const seek = (event) => {
      const box = this.tracks.getBoundingClientRect();
      this.seek(((event.clientX - box.left) / box.width) * this.seconds);
    };
    this.tracks.addEventListener("pointerdown", (event) => {
      this.tracks.setPointerCapture(event.pointerId);
      seek(event);
    });
    this.tracks.addEventListener("pointermove", (event) => this.tracks.hasPointerCapture(event.pointerId) && seek(event));
    const axis = element("div", { class: "axis" }, element("span", {}, "0 s"), element("span", { class: "legend" }), element("span", {}, `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`));
    const legend = axis.querySelector(".legend");
    const some = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;
    if (events.length) legend.append(element("span", { class: "event" }, `▾ ${some(events.length, "event")} seen`));
    if (onsets.length) legend.append(element("span", { class: "onset" }, `▴ ${some(onsets.length, "onset")} heard`));
    return element("div", {}, this.tracks, axis);
  }

  #ticks() {
    const made = [];
    for (const kind of ["event", "onset"]) {
      for (const [moment, text] of this.data[`${kind}s`]) {
        const tick = element("i", { class: kind, title: `${kind === "event" ? "seen" : "heard"}: ${text || "onset"}, ${moment.toFixed(2)} s` });
        tick.style.left = `${(100 * moment) / this.seconds}%`;
        made.push(tick);
      }
    }
    return made;
  }

  #wave(peaks) {
    this.peaks = peaks;
    this.line = drawn("path", { fill: "currentColor", stroke: "currentColor", "stroke-width": 1, "vector-effect": "non-scaling-stroke" });
    this.#waveform(null);
    return drawn("svg", { viewBox: `0 0 ${peaks.length / 2 - 1} 100`, preserveAspectRatio: "none", "aria-hidden": "true" }, this.line);
  }

  /** Draw the clip's waveform, or that of a stem or place on the same scale. */
  #waveform(strip) {
    const most = Math.max(8, ...this.peaks.map(Math.abs));
    const numbers = Array.from({ length: this.peaks.length / 2 }, (_, i) => i);
    const peaks = strip ? peaksOf(strip.channels, numbers.length) : this.peaks;
    const at = (i, which) => `${i} ${Math.max(0, Math.min(100, 50 - (48 * peaks[2 * i + which]) / most)).toFixed(1)}`;
    this.line.setAttribute("d", `M${numbers.map((i) => at(i, 1)).join("L")}L${numbers.reverse().map((i) => at(i, 0)).join("L")}Z`);
  }

  /** Show the levels of a PNG, or those that are given; shades are the same for the clip, its stems and clips beside it. */
  async spectrogram(address) {
    this.shownMel = address;
    const found = typeof address === "string" ? await levelsOf(address) : address;
    if (address === this.data.mel) {
      this.levels = found;
      const scale = this.#scale();
      const most = found.levels.reduce((most, level) => Math.max(most, level), QUIET);
      if (most > scale.loudest) {
        scale.loudest = most;
        for (const card of scale.cards) card.#paint();
      }
    }
    if (this.shownMel !== address) return;
    this.painted = found;
    this.#paint();
  }

  #scale() {
    const around = (!this.pixels && this.root.closest(".cards")) || this.root;
    if (!scales.has(around)) scales.set(around, { loudest: QUIET, cards: new Set() });
    const scale = scales.get(around);
    scale.cards.add(this);
    return scale;
  }

  #paint() {
    if (!this.painted) return;
    const [{ loudest }, range] = [this.#scale(), (SHADES / 100) * 255];
    paint(this.canvas, this.painted, (level) => colour(1 - (loudest - level) / range));
  }

  // Stems ---------------------------------------------------------------------------------------------------------

  #desk() {
    if (!this.desk) return [];
    const { strips } = this.mixer;
    if (this.stage) {
      this.dim = drawn("path", { class: "dim", "fill-rule": "evenodd" });
      this.lines = strips.filter((strip) => strip.outline).map((strip) => {
        const halo = drawn("path", { class: "halo" });
        const line = drawn("path", { stroke: strip.hue });
        return { strip, paths: [halo, line] };
      });
      this.overlay = drawn("svg", { class: "regions", viewBox: "0 0 1000 1000", preserveAspectRatio: "none", "aria-hidden": "true" },
        this.dim, ...this.lines.flatMap(({ paths }) => paths));
      this.media.after(this.overlay);
    }
    return [element("div", { class: "desk" },
      element("ul", { class: "stems", "aria-label": "Stems" }, ...strips.map((strip) => this.#strip(strip))),
      element("p", { class: "note" }, "Bars: level of each stem relative to the clip’s audio. Sliders: its gain."))];
  }

  #strip(strip) {
    const toggle = (key, text) => (strip[`${key}Button`] = element("button", {
      type: "button", "aria-pressed": "false", "aria-label": `${text} ${strip.name}`,
      onclick: () => {
        strip[key] = !strip[key];
        this.pixels?.mix();
        this.#mixed();
      },
    }, text));
    const value = element("output", {}, "0 dB");
    const fader = element("input", { type: "range", min: QUIETEST, max: 12, step: 1, value: 0, "aria-label": `Gain of ${strip.name}, in decibels`,
      oninput: () => {
        strip.decibels = Number(fader.value);
        value.textContent = strip.decibels <= QUIETEST ? "off" : `${strip.decibels} dB`;
        this.pixels?.mix();
        this.#mixed();
      } });
    const bar = element("span", { class: "bar", title: "Level against the clip's audio" }, element("span"));
    bar.firstChild.style.width = `${strip.level === null ? 0 : Math.max(0, Math.min(100, 100 + 2.5 * strip.level))}%`;
    const light = (on) => () => {
      this.lit = on ? strip : null;
      this.shown();
    };
    strip.row = element("li", { onpointerenter: light(true), onpointerleave: light(false) },
      element("span", { class: "name" }, element("b", {}, strip.name)), bar, element("span", { class: "level" }, shownLevel(strip.level)),
      element("span", { class: "buttons" }, toggle("solo", "Solo"), toggle("mute", "Mute")), element("span", { class: "fader" }, fader, value));
    strip.row.style.setProperty("--hue", strip.hue);
    return strip.row;
  }

  /** The desk has changed. */
  #mixed() {
    this.mixer.mixed();
    for (const strip of this.mixer.strips) {
      for (const key of ["solo", "mute"]) strip[`${key}Button`].setAttribute("aria-pressed", String(strip[key]));
      strip.row.classList.toggle("quiet", this.mixer.gain(strip) === 0);
    }
    this.shown();
  }

  /** Light, waveform and spectrogram of what is heard alone, or of the stem under the pointer. */
  shown() {
    const alone = this.lit ? [this.lit] : this.mixer.strips.filter((strip) => strip.solo);
    this.bright = alone.filter((strip) => strip.outline);
    this.dimmed = alone.length > 0;
    if (this.canvas) {
      const one = (this.lit ? null : this.mixer.place) ?? (alone.length === 1 ? alone[0] : null);
      if (one !== this.spectrum) {
        this.spectrogram(typeof one?.mel === "function" ? one.mel() : (one?.mel ?? this.data.mel));
        this.#waveform(one);
      }
      this.spectrum = one;
    }
    this.outlined = -1;
    this.show();
  }

  #outline() {
    const share = this.now() / this.seconds;
    const at = ({ outline }) => outline[Math.min(outline.length - 1, Math.floor(share * outline.length))];
    const frame = Math.floor(share * 300);
    if (frame === this.outlined) return;
    this.outlined = frame;
    for (const { strip, paths } of this.lines) paths.forEach((path) => path.setAttribute("d", at(strip)));
    this.dim.setAttribute("d", this.dimmed ? `M0 0H1000V1000H0Z${this.bright.map(at).join("")}` : "");
  }

  // Time ----------------------------------------------------------------------------------------------------------

  get playing() {
    return Boolean(this.media) && !this.media.paused && !this.media.ended;
  }

  now() {
    return Math.min(this.media?.currentTime ?? 0, this.seconds);
  }

  toggle() {
    const player = this.group ?? this;
    if (player.playing) player.pause();
    else player.play();
  }

  play() {
    for (const other of Card.all) if (other !== this && other.playing) other.pause();
    this.enter();
    this.start();
  }

  /** Begin, alone or with others. */
  start() {
    if (!this.media) return;
    if (this.now() >= this.seconds - 0.02) this.media.currentTime = 0;
    this.media.playbackRate = settings.speed;
    this.mixer?.ready().resume();
    this.media.play().catch(() => {});
    this.show();
  }

  pause() {
    this.media?.pause();
    this.mixer?.stop();
    this.show();
  }

  seek(seconds, group = this.group) {
    if (group) return group.seek(seconds);
    this.go(seconds);
  }

  go(seconds) {
    if (!this.media) return;
    this.enter();
    this.media.currentTime = Math.min(Math.max(0, seconds), this.seconds);
    this.mixer?.stop();
    this.show();
  }

  step(frames) {
    (this.group ?? this).pause();
    const fps = this.data.fps;
    this.seek((Math.floor(this.now() * fps + 1e-3) + 0.5 + frames) / fps);
  }

  /** Once a frame while it plays, and after each change. */
  show() {
    if (!this.built || !this.media) return;
    const moment = this.now();
    if (this.mixer) {
      const runs = this.playing && this.media.readyState > 2 && !this.media.seeking && moment > 0;
      this.mixer.follow(moment, runs, this.media.playbackRate);
      if (this.overlay) this.#outline();
    }
    const text = `${moment.toFixed(2)} s`;
    if (!this.root.classList.contains("failed") && this.clock.textContent !== text) this.clock.textContent = text;
    this.head.style.left = `${(100 * moment) / this.seconds}%`;
    const sign = (this.group ?? this).playing ? "❚❚" : "▶";
    if (this.button.textContent !== sign) this.button.textContent = sign;
    this.pixels?.show();
  }

  // Keys ----------------------------------------------------------------------------------------------------------

  static near() {
    const middle = window.innerHeight / 2;
    const away = ({ root }) => {
      const box = root.getBoundingClientRect();
      return Math.abs((box.top + box.bottom) / 2 - middle);
    };
    return Card.current ?? Card.all.reduce((best, card) => (!best || away(card) < away(best) ? card : best), null);
  }

  next(step) {
    const list = this.group ? Card.all.filter((card) => card.group !== this.group || card === this) : Card.all;
    const to = list[list.indexOf(this) + step];
    if (!to) return;
    const playing = (this.group ?? this).playing;
    (this.group ?? this).pause();
    to.root.focus({ preventScroll: true });
    Card.choose(to);
    to.root.scrollIntoView({ block: "center" });
    to.enter();
    if (playing) to.toggle();
  }

  static pressed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (event.target.closest?.("input, select, textarea, [role=application]")) return;
    const card = Card.near();
    if (!card) return;
    const far = event.shiftKey ? 0.25 : 0;
    const keys = {
      " ": () => !event.target.closest?.("button, a, summary") && (card.toggle(), true),
      ArrowLeft: () => (far ? card.seek(card.now() - far) : card.step(-1), true),
      ArrowRight: () => (far ? card.seek(card.now() + far) : card.step(1), true),
      j: () => (card.next(1), true),
      k: () => (card.next(-1), true),
      l: () => (Card.set("loop", !settings.loop), true),
    };
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (/^[1-9]$/.test(key)) card.desk && card.mixer.strips[Number(key) - 1]?.soloButton.click();
    else if (keys[key]?.()) event.preventDefault();
  }

  static tick() {
    requestAnimationFrame(Card.tick);
    for (const card of Card.all) {
      if (!card.built || !card.media) continue;
      const moment = card.media.currentTime;
      if (card.playing || moment !== card.last || card.wasPlaying) card.show();
      card.wasPlaying = card.playing;
      card.last = moment;
    }
  }
}

/** Take cards as they arrive: the first can be played while hundreds are still being read. */
function arrived() {
  for (const root of document.querySelectorAll(".card:not(.broken):not([data-number])")) {
    if (root.querySelector("noscript")) new Card(root); // its last element: the card is whole
  }
}

const arrivals = new MutationObserver(arrived);
arrivals.observe(document, { childList: true, subtree: true });
document.addEventListener("DOMContentLoaded", () => {
  arrivals.disconnect();
  arrived();
});
document.addEventListener("keydown", Card.pressed);
requestAnimationFrame(Card.tick);
window.cards = Card.all;
