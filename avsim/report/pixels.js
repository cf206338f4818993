// A clip whose every pixel can be heard: the picture, a mixing desk of its regions, and each part's spectrogram.

const FIRST = 0.2; // seconds of a place that are worked out before it is heard; then BLOCK at a time, ahead of it
const BLOCK = 0.5;
const LOWEST = -60; // dB, of the energy map and of spectrograms
const QUIETEST = -40; // dB, the lower end of a gain, which is silence
const LIFT = 40; // dB by which a quiet place is made louder, at most
const RAMP = 0.01; // seconds in which a gain changes
const COLOURS = [[0, 0, 4], [87, 16, 110], [188, 55, 84], [249, 142, 9], [252, 255, 164]];

/** Level in [0, 1] -> [red, green, blue]. */
function colour(level) {
  const place = Math.min(0.9999, Math.max(0, level)) * (COLOURS.length - 1);
  const [low, high] = [COLOURS[Math.floor(place)], COLOURS[Math.floor(place) + 1]];
  return low.map((value, i) => value + (place % 1) * (high[i] - value));
}

/** A new element: its attributes, then what it holds (nodes, or text that is shown as it is). */
function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

const energyOf = (channels) => channels.reduce((sum, wave) => sum + wave.reduce((s, x) => s + x * x, 0), 0);
const decibels = (ratio) => (ratio > 1e-8 ? `${(10 * Math.log10(ratio)).toFixed(1)} dB`.replace("-", "−") : "silent");

/** One fader of the desk: a stem, its gain, and its picture. */
class Strip {
  constructor(name, channels, masks, where) {
    Object.assign(this, { name, channels, masks, where, decibels: 0, solo: false, mute: false });
  }
}

class View {
  constructor(root) {
    const about = JSON.parse(root.querySelector("script[type='application/json']").textContent);
    const whole = unpacked(about.wave);
    const samples = about.samples;
    const channels = Array.from({ length: about.channels }, (_, a) =>
      Float32Array.from(whole.subarray(a * samples, (a + 1) * samples), (x) => (x * about.peak) / 32767),
    );
    Object.assign(this, { root, about, video: root.querySelector("video"), seconds: samples / about.rate });
    this.sound = new Sound(channels, about.rate, about.scale);
    this.energy = energyOf(channels);
    this.power = unpacked(about.power);
    const spans = about.spans.map((span) => ({
      column: span.column,
      features: span.cells.shape[2],
      columnsFrame: unpacked(span.columnsFrame),
      cells: unpacked(span.cells),
      bins: unpacked(span.bins),
      total: unpacked(span.total),
    }));
    this.maps = new Maps(spans, about.scale.bands, about.grid[0] * about.grid[1]);
    this.#stems();
    Object.assign(this, { place: null, cursor: null, context: null, started: null, offset: 0, shown: null, lift: true });
    this.#build();
    requestAnimationFrame(() => this.#tick());
  }

  // Sound ------------------------------------------------------------------------------------------------------------

  /** Each region's part of the sound, and "off screen": all that is left. */
  #stems() {
    const left = this.sound.channels.map((wave) => wave.slice());
    const rest = new Float32Array(this.sound.columns * this.sound.bands).fill(1);
    this.strips = this.about.stems.map(({ name, masks, where }) => {
      const shares = Float32Array.from(unpacked(masks), (x) => x / 65535);
      const channels = this.sound.part(shares);
      channels.forEach((wave, a) => wave.forEach((x, i) => (left[a][i] -= x)));
      shares.forEach((x, i) => (rest[i] -= x));
      return new Strip(name, channels, shares, { frames: where.shape[0], weights: unpacked(where) });
    });
    this.strips.push(new Strip(this.about.rest, left, rest.map((x) => Math.max(0, x)), null));
  }

  /** What a strip's fader, mute and the others' solos leave of it. */
  gain(strip) {
    const others = this.strips.some((each) => each.solo);
    const silent = strip.mute || (others && !strip.solo) || strip.decibels <= QUIETEST;
    return silent ? 0 : 10 ** (strip.decibels / 20);
  }

  /** A cell of the picture, as something to hear. */
  #place(cell) {
    const shares = this.maps.shares(cell, 0, this.sound.columns);
    const { power } = this.sound;
    let [own, all] = [0, 1e-20];
    for (let i = 0; i < power.length; i++) {
      own += power[i] * shares[i] * shares[i];
      all += power[i];
    }
    const level = own / all;
    return { cell, shares, level, lift: Math.min(10 ** (LIFT / 20), 0.7 / Math.sqrt(level || 1)) };
  }

  /** Samples [first, last) of a place, (channels), unlifted. */
  partOf(place, first = 0, last = this.sound.samples) {
    const [from, to] = this.sound.columnsOf(first, last);
    const bands = this.sound.bands;
    return this.sound.part(place.shares.subarray(from * bands, to * bands), first, last);
  }

  #source(context, channels, into, at, offset = 0) {
    const buffer = context.createBuffer(channels.length, channels[0].length, this.about.rate);
    channels.forEach((wave, a) => buffer.copyToChannel(wave, a));
    const source = context.createBufferSource();
    source.buffer = buffer;
    source.connect(into);
    source.start(at, offset);
    return source;
  }

  /** Wire up what is heard from `offset` seconds on, at the context's moment `at`; a way to stop and to change it. */
  connect(context, at, offset) {
    const out = context.createGain();
    out.connect(context.destination);
    const wired = { out, sources: [], gains: [], timer: null };
    if (this.place) {
      const place = this.place;
      const loud = context.createGain();
      loud.gain.value = this.lift ? place.lift : 1;
      loud.connect(out);
      wired.gains.push([loud.gain, () => (this.lift ? place.lift : 1)]);
      const begin = Math.round(offset * this.about.rate);
      const online = context instanceof AudioContext;
      const add = (first, length) => {
        const last = Math.min(this.sound.samples, first + Math.round(length * this.about.rate));
        if (first >= last) return;
        const when = at + (first - begin) / this.about.rate;
        wired.sources.push(this.#source(context, this.partOf(place, first, last), loud, when));
        if (!online) return add(last, BLOCK);
        wired.timer = setTimeout(() => add(last, BLOCK));
      };
      add(begin, FIRST);
    } else {
      for (const strip of this.strips) {
        const gain = context.createGain();
        gain.gain.value = this.gain(strip);
        gain.connect(out);
        wired.gains.push([gain.gain, () => this.gain(strip)]);
        wired.sources.push(this.#source(context, strip.channels, gain, at, offset));
      }
    }
    return wired;
  }

  /** What is heard now, from beginning to end: a Float32Array for each channel. */
  async render() {
    const { channels, samples, rate } = this.about;
    const context = new OfflineAudioContext(channels, samples, rate);
    this.connect(context, 0, 0);
    const buffer = await context.startRendering();
    return Array.from({ length: channels }, (_, a) => buffer.getChannelData(a));
  }

  // Time -------------------------------------------------------------------------------------------------------------

  /** The moment of the clip that is heard. */
  now() {
    return this.started === null ? this.offset : this.offset + Math.max(0, this.context.currentTime - this.started);
  }

  /** A context at the clip's own rate: nothing is resampled before the loudspeakers. */
  #ready() {
    this.context ??= new AudioContext({ sampleRate: this.about.rate });
  }

  play() {
    for (const other of window.pixels) if (other !== this) other.pause();
    this.#ready();
    this.context.resume();
    if (this.now() >= this.seconds - 0.02) this.offset = 0;
    this.#restart(this.now());
    this.video.play().catch(() => {}); // without a picture that plays, the sound still does
    this.#say();
  }

  pause() {
    if (this.started === null) return;
    this.offset = Math.min(this.now(), this.seconds);
    this.#stop();
    this.video.pause();
    this.#say();
  }

  seek(seconds) {
    const moment = Math.min(Math.max(0, seconds), this.seconds);
    if (this.started === null) this.offset = moment;
    else this.#restart(moment);
    this.video.currentTime = Math.min(moment, this.video.duration || moment);
  }

  #stop() {
    if (this.wired) {
      const { out, sources, timer } = this.wired;
      clearTimeout(timer);
      out.gain.setTargetAtTime(0, this.context.currentTime, RAMP / 3);
      sources.forEach((source) => source.stop(this.context.currentTime + 2 * RAMP));
      setTimeout(() => out.disconnect(), 100);
    }
    this.wired = this.started = null;
  }

  #restart(moment) {
    this.#stop();
    this.offset = moment;
    const at = this.context.currentTime + 0.02;
    this.wired = this.connect(this.context, at, moment);
    this.started = at;
  }

  /** The desk has changed: let it be heard. */
  #mixed() {
    for (const [gain, value] of this.wired?.gains ?? []) {
      gain.setTargetAtTime(value(), this.context.currentTime, RAMP);
    }
    this.strips.forEach((strip) => strip.row.classList.toggle("quiet", this.gain(strip) === 0));
    this.#say();
  }

  // Listening to places ----------------------------------------------------------------------------------------------

  /** Hear one cell, and nothing else, from this moment on. */
  listen(cell) {
    const asked = performance.now();
    this.place = this.#place(cell);
    this.cursor = cell;
    if (this.started === null) this.play();
    else this.#restart(this.now());
    this.answered = performance.now() - asked;
    this.#placed();
  }

  /** Hear the desk again. */
  mix() {
    this.place = null;
    if (this.started !== null) this.#restart(this.now());
    this.#placed();
  }

  #placed() {
    const { row, canvas, level, title } = this.single;
    row.hidden = !this.place;
    this.root.classList.toggle("single", Boolean(this.place));
    if (this.place) {
      title.textContent = this.#named(this.place.cell);
      level.textContent = decibels(this.place.level);
      this.#spectrogram(canvas, this.place.shares);
    }
    this.#say();
  }

  #named(cell) {
    const [rows, columns] = this.about.grid;
    return `Place ${(cell % columns) + 1} of ${columns} across, ${Math.floor(cell / columns) + 1} of ${rows} down`;
  }

  #say() {
    const level = (place) => decibels(place.level).replace(/dB$/, "dB of the clip's sound");
    const alone = this.strips.filter((strip) => strip.solo).map((strip) => strip.name).join(" and ");
    const what = this.place ? `${this.#named(this.place.cell)}, ${level(this.place)}` : alone || "the whole clip";
    this.status.textContent = `${this.started === null ? "Paused" : "Playing"}: ${what}`;
    this.button.textContent = this.started === null ? "Play" : "Pause";
  }

  // Pictures ---------------------------------------------------------------------------------------------------------

  #frame() {
    const last = this.about.frames - 1;
    return Math.min(last, Math.floor(this.now() * this.about.framesPerSecond));
  }

  /** Cells as light over the picture: of the energy map, or of a region. */
  #paint() {
    const [rows, columns] = this.about.grid;
    const places = rows * columns;
    const image = this.small.createImageData(columns, rows);
    const frame = this.#frame();
    const strip = this.shown;
    for (let cell = 0; cell < places; cell++) {
      let [red, green, blue, light] = [255, 255, 255, 0];
      if (strip) {
        const at = Math.min(frame, strip.where.frames - 1);
        light = 0.6 * (strip.where.weights[at * places + cell] / 255);
      } else if (this.hovering || this.always.checked) {
        const level = this.power[frame * places + cell] / 255;
        [red, green, blue] = colour(0.15 + 0.85 * level);
        light = 0.85 * level;
      }
      image.data.set([red, green, blue, 255 * light], 4 * cell);
    }
    this.small.putImageData(image, 0, 0);
    const canvas = this.over.canvas;
    this.over.clearRect(0, 0, canvas.width, canvas.height);
    this.over.drawImage(this.small.canvas, 0, 0, canvas.width, canvas.height);
    if (this.cursor !== null) {
      const [wide, high] = [canvas.width / columns, canvas.height / rows];
      const [x, y] = [(this.cursor % columns) * wide, Math.floor(this.cursor / columns) * high];
      for (const [style, width] of [["#000", 4], ["#fff", 2]]) {
        this.over.strokeStyle = style;
        this.over.lineWidth = width;
        this.over.strokeRect(x, y, wide, high);
      }
    }
  }

  #spectrogram(canvas, shares) {
    const { columns, bands, power } = this.sound;
    const drawing = canvas.getContext("2d");
    const image = drawing.createImageData(columns, bands);
    for (let j = 0; j < columns; j++) {
      for (let f = 0; f < bands; f++) {
        const level = 10 * Math.log10((power[j * bands + f] * shares[j * bands + f] ** 2) / this.loudest + 1e-12);
        const at = 4 * ((bands - 1 - f) * columns + j);
        image.data.set([...colour(1 - level / LOWEST), 255], at);
      }
    }
    drawing.putImageData(image, 0, 0);
  }

  #tick() {
    requestAnimationFrame(() => this.#tick());
    const moment = this.now();
    if (this.started !== null) {
      const seen = Math.max(0, moment - (this.context.outputLatency || 0));
      if (moment >= this.seconds) {
        if (this.loop.checked) this.seek(0);
        else this.pause();
      } else if (Math.abs(this.video.currentTime - seen) > 0.1 && !this.video.seeking) {
        this.video.currentTime = Math.min(seen, this.video.duration || seen);
      }
      if (this.video.paused && !this.video.ended) this.video.play().catch(() => {});
    }
    if (document.activeElement !== this.bar) this.bar.value = moment;
    this.clock.textContent = `${moment.toFixed(1)} of ${this.seconds.toFixed(1)} s`;
    this.root.style.setProperty("--played", `${(100 * moment) / this.seconds}%`);
    this.#paint();
  }

  // The page ---------------------------------------------------------------------------------------------------------

  #build() {
    const { grid, scale } = this.about;
    const ratio = this.about.size[1] / this.about.size[0];
    const [width, height] = ratio > 1 ? [640, Math.round(640 / ratio)] : [Math.round(480 * ratio), 480];
    this.loudest = this.sound.power.reduce((most, x) => Math.max(most, x), 1e-12);
    this.small = element("canvas", { width: grid[1], height: grid[0] }).getContext("2d");
    this.over = element("canvas", { width, height, "aria-hidden": "true" }).getContext("2d");
    this.status = element("p", { role: "status", class: "status" });
    this.stage = element("div", {
      class: "stage", tabindex: 0, role: "application", "aria-roledescription": "picture to hear",
      "aria-label": "The picture. Arrow keys choose a place, Enter plays its sound, Escape the whole clip, Space pauses.",
      onclick: (event) => this.listen(this.#under(event)),
      onpointerenter: () => {
        this.hovering = true;
        this.#ready(); // before it is needed: a click is to be answered at once
      },
      onpointerleave: () => (this.hovering = false),
      onkeydown: (event) => this.#pressed(event),
    }, this.video, this.over.canvas);
    this.stage.style.aspectRatio = ratio;
    this.stage.style.maxWidth = `${width}px`;
    this.video.muted = true;
    this.button = element("button", { type: "button", class: "play", onclick: () => (this.started === null ? this.play() : this.pause()) });
    this.bar = element("input", {
      type: "range", min: 0, max: this.seconds, step: 0.01, value: 0, "aria-label": "Moment of the clip, in seconds",
      oninput: () => this.seek(Number(this.bar.value)),
    });
    this.clock = element("span", { class: "clock" });
    this.loop = element("input", { type: "checkbox", checked: "" });
    this.always = element("input", { type: "checkbox" });
    this.lifting = element("input", { type: "checkbox", checked: "", onchange: () => {
      this.lift = this.lifting.checked;
      this.#mixed();
    } });
    const option = (box, text) => element("label", {}, box, ` ${text}`);
    const transport = element("div", { class: "transport" }, this.button, this.bar, this.clock);
    const options = element("div", { class: "options" }, option(this.loop, "again and again"),
      option(this.always, "energy map always, not only under the pointer"), option(this.lifting, "make a single place as loud as the clip"));
    const desk = element("div", { class: "desk", role: "group", "aria-label": "Mixing desk" });
    desk.append(...this.strips.map((strip, number) => this.#strip(strip, number)));
    const keys = element("p", { class: "keys" }, "Keys, on the picture: arrows and Enter for a place, Escape for the whole clip, Space to pause, 1 to 9 for a region alone.");
    this.root.append(element("div", { class: "side" }, this.stage, transport, options, this.status, this.#single(), keys), desk);
    for (const strip of this.strips) this.#spectrogram(strip.canvas, strip.masks);
    this.stage.classList.toggle("tall", ratio < 1);
    this.root.style.setProperty("--bands", scale.bands);
    this.#mixed();
    this.#placed();
  }

  #picture(name) {
    const { columns, bands } = this.sound;
    const canvas = element("canvas", { width: columns, height: bands, role: "img", "aria-label": `Spectrogram: ${name}` });
    const shown = element("div", { class: "spectrogram", onclick: (event) => {
      const box = shown.getBoundingClientRect();
      this.seek(((event.clientX - box.left) / box.width) * this.seconds);
    } }, canvas, element("span", { class: "head" }));
    return [shown, canvas];
  }

  /** The row of the place that is heard by itself. */
  #single() {
    const title = element("b");
    const level = element("span", { class: "level" });
    const [shown, canvas] = this.#picture("the chosen place");
    const back = element("button", { type: "button", onclick: () => this.mix() }, "Back to the whole clip");
    const row = element("div", { class: "strip chosen" }, element("div", { class: "name" }, title, level), element("div", { class: "faders" }, back), shown);
    this.single = { row, title, level, canvas };
    return row;
  }

  #strip(strip, number) {
    const toggle = (key, text) => {
      const label = `${text} ${strip.name}`;
      const button = element("button", { type: "button", "aria-pressed": "false", "aria-label": label, onclick: () => {
        strip[key] = !strip[key];
        button.setAttribute("aria-pressed", String(strip[key]));
        if (this.place) this.mix();
        this.#mixed();
      } }, text);
      return (strip[`${key}Button`] = button);
    };
    const value = element("output", {}, "0 dB");
    const fader = element("input", {
      type: "range", min: QUIETEST, max: 12, step: 1, value: 0, "aria-label": `Gain of ${strip.name}, in decibels`,
      oninput: () => {
        strip.decibels = Number(fader.value);
        value.textContent = strip.decibels <= QUIETEST ? "off" : `${strip.decibels} dB`;
        if (this.place) this.mix();
        this.#mixed();
      },
    });
    const [shown, canvas] = this.#picture(strip.name);
    strip.canvas = canvas;
    const level = decibels(energyOf(strip.channels) / (this.energy || 1));
    const light = (on) => () => (this.shown = on && strip.where ? strip : null);
    strip.row = element("div", { class: "strip", role: "group", "aria-label": `${number + 1}: ${strip.name}`,
      onpointerenter: light(true), onpointerleave: light(false), onfocusin: light(true), onfocusout: light(false),
    }, element("div", { class: "name" }, element("b", {}, strip.name), element("span", { class: "level" }, level)),
    element("div", { class: "faders" }, toggle("solo", "Solo"), toggle("mute", "Mute"), fader, value), shown);
    return strip.row;
  }

  /** The cell under a pointer. */
  #under(event) {
    const box = this.stage.getBoundingClientRect();
    const [rows, columns] = this.about.grid;
    const at = (place, count) => Math.min(count - 1, Math.max(0, Math.floor(place * count)));
    const row = at((event.clientY - box.top) / box.height, rows);
    return row * columns + at((event.clientX - box.left) / box.width, columns);
  }

  #pressed(event) {
    const [rows, columns] = this.about.grid;
    const moves = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
    const middle = Math.floor(rows / 2) * columns + Math.floor(columns / 2);
    if (event.key in moves) {
      const from = this.cursor ?? middle;
      const [down, across] = moves[event.key];
      const row = Math.min(rows - 1, Math.max(0, Math.floor(from / columns) + down));
      this.cursor = row * columns + Math.min(columns - 1, Math.max(0, (from % columns) + across));
      this.status.textContent = this.#named(this.cursor);
    } else if (event.key === "Enter") this.listen(this.cursor ?? middle);
    else if (event.key === "Escape") this.mix();
    else if (event.key === " ") this.button.click();
    else if (/^[1-9]$/.test(event.key)) this.strips[Number(event.key) - 1]?.soloButton.click();
    else return;
    event.preventDefault();
  }
}

window.pixels = [];
for (const root of document.querySelectorAll(".pixels")) window.pixels.push(new View(root));
