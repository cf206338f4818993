// The stems of a clip, mixed in time with its video: each with a gain, solo and mute.

const QUIETEST = -40; // dB, the lower end of a gain, which is silence
const RAMP = 0.01; // seconds in which a gain changes, and in which one schedule fades into the next
const LEAD = 0.03; // seconds from a schedule to its first sample
const DRIFT = 0.01; // seconds by which stems may be off the video
const DRIFTED = 4; // looks in a row at which they are, before they are scheduled anew
const HUES = ["#e69f00", "#56b4e9", "#2fbf71", "#f06595", "#b197fc", "#ffd43b", "#ff6b4a", "#3bc9db"];
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

const SVG = (() => {
  const holder = document.createElement("template");
  holder.innerHTML = "<svg></svg>";
  return holder.content.firstChild.namespaceURI;
})();

/** The same in SVG. */
function drawn(name, attributes = {}, ...children) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

/** Base64 -> its bytes' buffer. */
function bufferOf(data) {
  const text = atob(data);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes.buffer;
}

const energyOf = (channels) => channels.reduce((sum, wave) => sum + wave.reduce((s, x) => s + x * x, 0), 0);
const shownLevel = (level) => (level === null ? "silent" : `${level.toFixed(1)} dB`.replace(/^-0\.0 /, "0.0 ").replace("-", "−"));
const levelOf = (ratio) => (ratio > 1e-8 ? 10 * Math.log10(ratio) : null);

/** One stem: its samples, level in dB against the clip's audio, outlines (or null) and the state of its buttons. */
class Strip {
  constructor(number, name, channels, level, outline, more = {}) {
    Object.assign(this, { number, name, channels, level, outline, decibels: 0, solo: false, mute: false }, more);
    this.hue = outline ? HUES[number % HUES.length] : "var(--soft)";
  }
}

class Mixer {
  static contexts = new Map(); // by rate: nothing is resampled before the loudspeakers

  constructor(strips, rate) {
    Object.assign(this, { strips, rate, place: null, wired: null, off: 0, enabled: true });
  }

  /** What a strip's gain, its mute and the others' solos leave of it. */
  gain(strip) {
    const others = this.strips.some((each) => each.solo);
    const silent = strip.mute || (others && !strip.solo) || strip.decibels <= QUIETEST;
    return silent ? 0 : 10 ** (strip.decibels / 20);
  }

  ready() {
    if (!Mixer.contexts.has(this.rate)) Mixer.contexts.set(this.rate, new AudioContext({ sampleRate: this.rate }));
    this.context = Mixer.contexts.get(this.rate);
    return this.context;
  }

  source(context, channels, into, at, offset = 0, speed = 1) {
    const buffer = context.createBuffer(channels.length, channels[0].length, this.rate);
    channels.forEach((wave, a) => buffer.copyToChannel(wave, a));
    const source = context.createBufferSource();
    source.buffer = buffer;
    source.playbackRate.value = speed;
    source.connect(into);
    source.start(at, Math.max(0, offset));
    return source;
  }

  /** Wire up what is heard from `offset` seconds of the clip on, at the context's moment `at`. */
  connect(context, at, offset, speed = 1) {
    const out = context.createGain();
    out.connect(context.destination);
    const wired = { out, sources: [], gains: [], timer: null, at, offset, speed };
    if (this.place) this.place.connect(context, wired);
    else {
      for (const strip of this.strips) {
        const gain = context.createGain();
        gain.gain.value = this.gain(strip);
        gain.connect(out);
        wired.gains.push([gain.gain, () => this.gain(strip)]);
        wired.sources.push(this.source(context, strip.channels, gain, at, offset, speed));
      }
    }
    return wired;
  }

  /** What is heard now, from beginning to end: a Float32Array for each channel. */
  async render() {
    const { length } = this.strips[0].channels;
    const context = new OfflineAudioContext(length, this.strips[0].channels[0].length, this.rate);
    this.connect(context, 0, 0);
    const buffer = await context.startRendering();
    return Array.from({ length }, (_, a) => buffer.getChannelData(a));
  }

  /** The moment of the clip that leaves the loudspeakers now. */
  heard() {
    const { context, wired } = this;
    const stamp = context.getOutputTimestamp?.();
    const now = stamp?.performanceTime
      ? stamp.contextTime + (performance.now() - stamp.performanceTime) / 1000
      : context.currentTime - (context.outputLatency || 0);
    return wired.offset + (now - wired.at) * wired.speed;
  }

  /** Once a frame: keep the stems with the video, which is at `moment`. */
  follow(moment, playing, speed = 1) {
    if (!playing || !this.enabled) return this.stop();
    const context = this.ready();
    if (context.state !== "running") {
      context.resume();
      return this.stop();
    }
    if (this.wired && this.wired.speed === speed) {
      this.drift = this.heard() - moment;
      this.off = Math.abs(this.drift) > DRIFT ? this.off + 1 : 0;
      if (this.off < DRIFTED && Math.abs(this.drift) < 10 * DRIFT) return;
    }
    this.restart(moment, speed);
  }

  restart(moment, speed = 1) {
    const context = this.ready();
    this.stop();
    const stamp = context.getOutputTimestamp?.();
    const latency = stamp?.performanceTime
      ? context.currentTime - stamp.contextTime - (performance.now() - stamp.performanceTime) / 1000
      : context.outputLatency || 0;
    const at = context.currentTime + LEAD;
    this.off = 0;
    this.wired = this.connect(context, at, moment + (LEAD + Math.max(0, latency)) * speed, speed);
  }

  stop() {
    if (!this.wired) return;
    const { out, sources, timer } = this.wired;
    const now = this.context.currentTime;
    clearTimeout(timer);
    out.gain.setTargetAtTime(0, now + (this.wired.fade ?? 0), RAMP / 3);
    sources.forEach((source) => source.stop(now + 3 * RAMP));
    setTimeout(() => out.disconnect(), 150);
    this.wired = null;
  }

  /** A gain, solo or mute has changed: let it be heard. */
  mixed() {
    for (const [gain, value] of this.wired?.gains ?? []) {
      gain.setTargetAtTime(value(), this.context.currentTime, RAMP);
    }
  }
}
