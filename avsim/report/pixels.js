// A card whose every pixel can be heard: the separator's maps give its stems, and the part of any place of the video.

const FIRST = 0.2; // seconds of a place that are worked out before it is heard; then BLOCK at a time, ahead of it
const BLOCK = 0.5;
const LIFT = 40; // dB by which a quiet place is made louder, at most

/** {type, shape, data, scale?} -> typed array; whole numbers times their scale become Float32Array. */
function unpacked({ type, data, scale }) {
  const types = { uint8: Uint8Array, uint16: Uint16Array, int16: Int16Array, float32: Float32Array };
  const values = new types[type](bufferOf(data));
  if (!scale) return values;
  const out = new Float32Array(values.length);
  for (let i = 0, k = 0; i < out.length; i++, k = k + 1 === scale.length ? 0 : k + 1) out[i] = values[i] * scale[k];
  return out;
}

class Pixels {
  constructor(card, about) {
    const whole = unpacked(about.wave);
    const { samples } = about;
    const channels = Array.from({ length: about.channels }, (_, a) =>
      Float32Array.from(whole.subarray(a * samples, (a + 1) * samples), (x) => (x * about.peak) / 32767),
    );
    Object.assign(this, { card, about, cursor: null, lift: true, hovering: false });
    this.sound = new Sound(channels, about.rate, about.scale);
    this.energy = energyOf(channels);
    this.loudest = this.sound.power.reduce((most, x) => Math.max(most, x), 1e-12);
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
    // The clip's spectrogram in the bands of its stems', so that one can be held against the other.
    card.data.mel = this.levels(null);
    card.data.top = Math.min(about.scale.top, about.rate / 2);
  }

  get place() {
    return this.card.mixer.place;
  }

  /** Each region's part of the audio, and "off screen": all that is left. */
  #stems() {
    const left = this.sound.channels.map((wave) => wave.slice());
    const rest = new Float32Array(this.sound.columns * this.sound.bands).fill(1);
    const strip = (number, name, channels, shares, outline) =>
      new Strip(number, name, channels, levelOf(energyOf(channels) / (this.energy || 1)), outline, { mel: () => this.levels(shares) });
    this.strips = this.about.stems.map(({ name, masks, outline }, number) => {
      const shares = Float32Array.from(unpacked(masks), (x) => x / 65535);
      const channels = this.sound.part(shares);
      channels.forEach((wave, a) => wave.forEach((x, i) => (left[a][i] -= x)));
      shares.forEach((x, i) => (rest[i] -= x));
      return strip(number, name, channels, shares, outline);
    });
    const shares = rest.map((x) => Math.max(0, x));
    this.strips.push(strip(this.strips.length, this.about.rest, left, shares, null));
  }

  /** The spectrogram of a part, by its shares of each bin (null: all), as a card paints it. */
  levels(shares) {
    const { columns: width, bands: height, power } = this.sound;
    const levels = new Uint8ClampedArray(width * height);
    for (let j = 0; j < width; j++) {
      for (let f = 0; f < height; f++) {
        const bin = j * height + f;
        const level = 10 * Math.log10((power[bin] * (shares ? shares[bin] ** 2 : 1)) / this.loudest + 1e-12);
        levels[(height - 1 - f) * width + j] = 255 * (1 + level / 100);
      }
    }
    return { width, height, levels };
  }

  /** A cell of the video, as something to hear: for the mixer. */
  #placed(cell) {
    const shares = this.maps.shares(cell, 0, this.sound.columns);
    const { power } = this.sound;
    let [own, all] = [0, 1e-20];
    for (let i = 0; i < power.length; i++) {
      own += power[i] * shares[i] * shares[i];
      all += power[i];
    }
    const ratio = own / all;
    const lift = Math.min(10 ** (LIFT / 20), 0.7 / Math.sqrt(ratio || 1));
    const place = { cell, shares, ratio, lift, mel: () => this.levels(shares) };
    let part = null; // worked out once it is drawn, after it can be heard
    const heard = () => (part ??= this.partOf(place)).map((wave) => wave.map((x) => x * this.#gain(place)));
    Object.defineProperty(place, "channels", { get: heard });
    place.connect = (context, wired) => this.#connect(place, context, wired);
    return place;
  }

  #gain(place) {
    return this.lift ? place.lift : 1;
  }

  /** Samples [first, last) of a place, (channels), unlifted. */
  partOf(place, first = 0, last = this.sound.samples) {
    const [from, to] = this.sound.columnsOf(first, last);
    const { bands } = this.sound;
    return this.sound.part(place.shares.subarray(from * bands, to * bands), first, last);
  }

  #connect(place, context, wired) {
    const gain = () => this.#gain(place);
    const loud = context.createGain();
    loud.gain.value = gain();
    loud.connect(wired.out);
    wired.gains.push([loud.gain, gain]);
    const begin = Math.round(wired.offset * this.about.rate);
    const online = context instanceof AudioContext;
    const add = (first, length) => {
      const last = Math.min(this.sound.samples, first + Math.round(length * this.about.rate));
      if (first >= last) return;
      const when = wired.at + (first - begin) / this.about.rate / wired.speed;
      const late = Math.max(0, context.currentTime - when) * wired.speed;
      const part = this.partOf(place, first, last);
      wired.sources.push(this.card.mixer.source(context, part, loud, Math.max(when, context.currentTime), late, wired.speed));
      if (!online) return add(last, BLOCK);
      wired.timer = setTimeout(() => add(last, BLOCK));
    };
    add(begin, FIRST);
  }

  // Places ----------------------------------------------------------------------------------------------------------

  /** Hear one cell, and nothing else, from this moment on. */
  listen(cell) {
    const asked = performance.now();
    const { card } = this;
    card.mixer.place = this.#placed(cell);
    this.cursor = cell;
    if (card.playing) card.mixer.restart(card.now(), card.media.playbackRate);
    else card.play();
    this.answered = performance.now() - asked;
    this.#changed();
  }

  /** Hear the stems again. */
  mix() {
    if (!this.place) return;
    this.card.mixer.place = null;
    this.card.mixer.stop();
    this.#changed();
  }

  #changed() {
    setTimeout(() => this.card.shown()); // a place's waveform takes time, which its first sound does not have
    this.back.hidden = !this.place;
    this.#say();
  }

  #named(cell) {
    const [rows, columns] = this.about.grid;
    return `Place ${(cell % columns) + 1} of ${columns} across, ${Math.floor(cell / columns) + 1} of ${rows} down`;
  }

  #say() {
    const alone = this.strips.filter((strip) => strip.solo).map((strip) => strip.name).join(" and ");
    const level = this.place && shownLevel(levelOf(this.place.ratio)).replace(/dB$/, "dB relative to the clip’s audio");
    const what = this.place ? `${this.#named(this.place.cell)}, ${level}` : alone || "the whole clip";
    const text = `${this.card.playing ? "Playing" : "Paused"}: ${what}`;
    if (this.status.textContent !== text) this.status.textContent = text;
  }

  // What is seen ----------------------------------------------------------------------------------------------------

  build(left) {
    const { card, about } = this;
    const ratio = about.size[1] / about.size[0];
    const [width, height] = ratio > 1 ? [640, Math.round(640 / ratio)] : [Math.round(480 * ratio), 480];
    this.small = element("canvas", { width: about.grid[1], height: about.grid[0] }).getContext("2d");
    this.over = element("canvas", { width, height, "aria-hidden": "true" }).getContext("2d");
    card.media.after(this.over.canvas);
    const attributes = {
      tabindex: 0, role: "application", "aria-roledescription": "video to hear",
      "aria-label": "The video. Arrow keys choose a place, Enter plays its stem, Escape the whole clip, Space pauses.",
    };
    for (const [name, value] of Object.entries(attributes)) card.stage.setAttribute(name, value);
    card.stage.classList.add("pixels");
    card.stage.addEventListener("click", (event) => this.listen(this.#under(event)));
    card.stage.addEventListener("pointerenter", () => {
      this.hovering = true;
      card.mixer.ready(); // before it is needed: a click is to be answered at once
    });
    card.stage.addEventListener("pointerleave", () => (this.hovering = false));
    card.stage.addEventListener("keydown", (event) => this.#pressed(event));
    const option = (text, checked, onchange) => {
      const box = element("input", { type: "checkbox", ...(checked ? { checked: "" } : {}), onchange });
      return [box, element("label", {}, box, ` ${text}`)];
    };
    const [always, energy] = option("always show the energy map", false, () => card.show());
    const [lifting, loudness] = option("play a single place as loud as the clip", true, () => {
      this.lift = lifting.checked;
      card.mixer.mixed();
      card.spectrum = undefined; // so that the place's waveform is drawn anew
      card.shown();
    });
    this.always = always;
    this.status = element("p", { role: "status", class: "status" });
    this.back = element("button", { type: "button", onclick: () => this.mix() }, "Back to the whole clip");
    const shades = Array.from({ length: 9 }, (_, k) => `rgb(${colour(0.15 + (0.85 * k) / 8).map(Math.round)} / ${(0.85 * k) / 8})`);
    const scale = element("p", { class: "scale" }, `Energy map: ${about.lowest} dB`.replace("-", "−"), element("span", { role: "presentation" }), "loudest place");
    scale.querySelector("span").style.background = `linear-gradient(to right, ${shades})`;
    left.append(element("div", { class: "options" }, energy, loudness), scale, this.status, this.back);
    this.#changed();
  }

  show() {
    if (!this.status) return;
    this.#say();
    const [rows, columns] = this.about.grid;
    const places = rows * columns;
    const image = this.small.createImageData(columns, rows);
    const frame = Math.min(this.about.frames - 1, Math.floor(this.card.now() * this.about.framesPerSecond));
    const lit = this.hovering || this.always.checked;
    for (let cell = 0; lit && cell < places; cell++) {
      const level = this.power[frame * places + cell] / 255;
      image.data.set([...colour(0.15 + 0.85 * level), 255 * 0.85 * level], 4 * cell);
    }
    this.small.putImageData(image, 0, 0);
    const { canvas } = this.over;
    this.over.clearRect(0, 0, canvas.width, canvas.height);
    if (lit) this.over.drawImage(this.small.canvas, 0, 0, canvas.width, canvas.height);
    if (this.cursor === null || !(this.place || document.activeElement === this.card.stage)) return;
    const [wide, high] = [canvas.width / columns, canvas.height / rows];
    const [x, y] = [(this.cursor % columns) * wide, Math.floor(this.cursor / columns) * high];
    for (const [style, width] of [["#000", 4], ["#fff", 2]]) {
      this.over.strokeStyle = style;
      this.over.lineWidth = width;
      this.over.strokeRect(x, y, wide, high);
    }
  }

  /** The cell under a pointer. */
  #under(event) {
    const box = this.card.stage.getBoundingClientRect();
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
      this.show();
      this.status.textContent = this.#named(this.cursor);
    } else if (event.key === "Enter") this.listen(this.cursor ?? middle);
    else if (event.key === "Escape") this.mix();
    else if (event.key === " ") this.card.toggle();
    else if (/^[1-9]$/.test(event.key)) this.strips[Number(event.key) - 1]?.soloButton.click();
    else return;
    event.preventDefault();
  }
}
