// The separator's maps in the browser: a sound's spectrum, the share of it that any cell takes, and back to sound.

/** Discrete Fourier transforms of one length, a power of two, in place. */
class Fourier {
  constructor(length) {
    this.length = length;
    this.mirrored = new Uint32Array(length);
    for (let k = 1; k < length; k++) this.mirrored[k] = (this.mirrored[k >> 1] >> 1) | (k & 1 ? length >> 1 : 0);
    this.stages = []; // of each size of butterflies: cosines and sines
    for (let half = 1; half < length; half *= 2) {
      const turn = (wave) => Float64Array.from({ length: half }, (_, k) => wave((Math.PI * k) / half));
      this.stages.push([half, turn(Math.cos), turn(Math.sin)]);
    }
  }

  forward(re, im) {
    const { length, mirrored } = this;
    for (let i = 1; i < length; i++) {
      const j = mirrored[i];
      if (j > i) {
        const x = re[i];
        const y = im[i];
        re[i] = re[j];
        im[i] = im[j];
        re[j] = x;
        im[j] = y;
      }
    }
    for (const [half, cos, sin] of this.stages) {
      for (let start = 0; start < length; start += 2 * half) {
        for (let k = 0, a = start, b = start + half; k < half; k++, a++, b++) {
          const x = re[b] * cos[k] + im[b] * sin[k];
          const y = im[b] * cos[k] - re[b] * sin[k];
          re[b] = re[a] - x;
          im[b] = im[a] - y;
          re[a] += x;
          im[a] += y;
        }
      }
    }
  }

  inverse(re, im) {
    this.forward(im, re);
    for (let k = 0; k < this.length; k++) {
      re[k] /= this.length;
      im[k] /= this.length;
    }
  }
}

/**
 * A sound of one or two channels and its spectrum: Hann windows of four hops, as avsim.separation.spectrum has it,
 * with zeros behind them up to a power of two. Parts add up to the sound; a single one is the separator's own where
 * four hops are a power of two (16 and 32 kHz), else 28 to 40 dB near to it.
 */
class Sound {
  /** channels: one or two Float32Array of as many samples; scale: {hop, bands, top, knee} */
  constructor(channels, rate, scale) {
    const length = 4 * scale.hop;
    Object.assign(this, { channels, rate, hop: scale.hop, bands: scale.bands, length });
    this.samples = channels[0].length;
    this.columns = 1 + Math.floor(this.samples / scale.hop);
    this.window = Float64Array.from({ length }, (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / length));
    this.bins = 2 ** Math.ceil(Math.log2(length));
    this.fourier = new Fourier(this.bins);
    this.re = new Float64Array(this.bins);
    this.im = new Float64Array(this.bins);
    this.#place(scale);
    this.#analyse();
  }

  /** Between which two bands each bin lies, and how far from the lower one. */
  #place({ bands, top, knee }) {
    const step = Math.log1p(top / knee) / (bands - 1);
    const half = this.bins / 2;
    this.lower = new Uint16Array(half + 1);
    this.weight = new Float32Array(half + 1);
    for (let k = 0; k <= half; k++) {
      const hertz = (k * this.rate) / this.bins;
      const position = Math.min(bands - 1, Math.log1p(hertz / knee) / step);
      this.lower[k] = Math.min(bands - 2, Math.floor(position));
      this.weight[k] = position - this.lower[k];
    }
  }

  /** Both channels at once, as real and imaginary part; and the power of each band. */
  #analyse() {
    const { bins, length, hop, columns, bands, re, im, window, channels } = this;
    const [left, right] = channels;
    this.spectrum = new Float32Array(2 * bins * columns);
    this.power = new Float32Array(columns * bands);
    for (let j = 0; j < columns; j++) {
      const first = j * hop - length / 2;
      re.fill(0);
      im.fill(0);
      for (let i = Math.max(0, -first); i < Math.min(length, this.samples - first); i++) {
        re[i] = left[first + i] * window[i];
        im[i] = right ? right[first + i] * window[i] : 0;
      }
      this.fourier.forward(re, im);
      this.spectrum.set(re, 2 * bins * j);
      this.spectrum.set(im, 2 * bins * j + bins);
      for (let k = 0; k <= bins / 2; k++) {
        const other = (bins - k) % bins;
        const power = re[k] ** 2 + im[k] ** 2 + re[other] ** 2 + im[other] ** 2;
        const band = j * bands + this.lower[k];
        this.power[band] += power * (1 - this.weight[k]);
        this.power[band + 1] += power * this.weight[k];
      }
    }
  }

  /** The columns that samples [first, last) hear something of. */
  columnsOf(first, last) {
    const reach = this.length / 2;
    return [
      Math.max(0, Math.ceil((first - reach + 1) / this.hop)),
      Math.min(this.columns, Math.floor((last - 1 + reach) / this.hop) + 1),
    ];
  }

  /** Samples [first, last) of the part that shares take: columns x bands, their first that of these samples. */
  part(shares, first = 0, last = this.samples) {
    const { bins, length, hop, bands, re, im, window, lower, weight, spectrum } = this;
    const [begin, end] = this.columnsOf(first, last);
    const out = this.channels.map(() => new Float32Array(last - first));
    const envelope = new Float32Array(last - first);
    for (let j = begin; j < end; j++) {
      const at = 2 * bins * j;
      const row = (j - begin) * bands;
      for (let k = 0; k <= bins / 2; k++) {
        const low = row + lower[k];
        const share = shares[low] + weight[k] * (shares[low + 1] - shares[low]);
        const other = k ? bins - k : 0;
        re[k] = share * spectrum[at + k];
        im[k] = share * spectrum[at + bins + k];
        re[other] = share * spectrum[at + other];
        im[other] = share * spectrum[at + bins + other];
      }
      this.fourier.inverse(re, im);
      const start = j * hop - length / 2 - first;
      for (let i = Math.max(0, -start); i < Math.min(length, last - first - start); i++) {
        envelope[start + i] += window[i] * window[i];
        out[0][start + i] += re[i] * window[i];
        if (out[1]) out[1][start + i] += im[i] * window[i];
      }
    }
    for (const channel of out) for (let i = 0; i < channel.length; i++) channel[i] /= envelope[i] || 1;
    return out;
  }
}

/** Which share of each bin each cell of the picture takes. */
class Maps {
  /** spans: [{column, columnsFrame, cells, bins, total, ...}] as avsim.separation.pixels has them, unpacked */
  constructor(spans, bands, places) {
    Object.assign(this, { spans, bands, places });
  }

  /** (to - from) x bands: the shares of one cell in columns [from, to). */
  shares(cell, from, to) {
    const { bands } = this;
    const out = new Float32Array((to - from) * bands);
    for (const span of this.spans) {
      const features = span.features;
      const last = Math.min(to, span.column + span.columnsFrame.length);
      for (let j = Math.max(from, span.column); j < last; j++) {
        const own = j - span.column;
        const of = (span.columnsFrame[own] * (this.places + 1) + cell) * features;
        for (let f = 0; f < bands; f++) {
          const bin = own * bands + f;
          let logit = -span.total[bin];
          for (let k = 0, b = bin * features; k < features; k++) logit += span.cells[of + k] * span.bins[b + k];
          out[(j - from) * bands + f] = Math.exp(logit);
        }
      }
    }
    return out;
  }
}
