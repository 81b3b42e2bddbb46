// Controls of a replay. The server keeps no state: each change opens the events anew from there.

import { byId, setText, show } from "./dom.js";
import { offset } from "./format.js";

export class ReplayControls {
  // seek({from, speed, paused}) opens the events anew.
  constructor(seek) {
    this.seek = seek;
    this.held = false;
    this.now = null;
    byId("replay-play").addEventListener("click", () => {
      const ended = this.now && this.now.position_s >= this.now.length_s;
      this.#go({ playing: !this.now?.playing || ended, position_s: ended ? 0 : this.now.position_s });
    });
    byId("replay-speed").addEventListener("change", (event) => this.#go({ speed: Number(event.target.value) }));
    const slider = byId("replay-position");
    slider.addEventListener("input", () => {
      this.held = true;
      this.#clock(Number(slider.value));
    });
    slider.addEventListener("change", () => {
      this.held = false;
      this.#go({ position_s: Number(slider.value) });
    });
  }

  #go(change) {
    this.now = { ...this.now, ...change };
    this.seek(this.parameters(), change.position_s !== undefined);
    this.#draw();
  }

  // What opens the events where they are now.
  parameters() {
    if (!this.now) return {};
    const { position_s: from, speed, playing } = this.now;
    return { from: from.toFixed(1), speed: String(speed), ...(playing ? {} : { paused: "1" }) };
  }

  draw(replay) {
    show(byId("replay"), Boolean(replay));
    if (!replay) {
      this.now = null;
      return;
    }
    this.now = { ...replay };
    this.#draw();
  }

  #draw() {
    const { now } = this;
    const ended = now.position_s >= now.length_s;
    setText(byId("replay-play"), now.playing && !ended ? "Pause the replay" : ended ? "Play again" : "Play");
    const speeds = byId("replay-speed");
    const speed = String(now.speed);
    if (![...speeds.options].some((each) => each.value === speed)) {
      speeds.add(new Option(`${speed} x`, speed));
    }
    if (document.activeElement !== speeds) speeds.value = speed;
    const slider = byId("replay-position");
    slider.max = String(Math.ceil(now.length_s));
    if (!this.held) {
      slider.value = String(Math.round(now.position_s));
      this.#clock(now.position_s);
    }
  }

  #clock(position) {
    const words = `${offset(position)} of ${offset(this.now?.length_s)}`;
    setText(byId("replay-clock"), words);
    byId("replay-position").setAttribute("aria-valuetext", words);
  }
}
