// The annotator's page: asks who is there, shows a pair, takes the answer by mouse or key, sends it
// until it has arrived, reveals the score of a blind pair, and goes on. The server decides
// everything (`annotate/api.py`); what is shown is in `view.js` and `stage.js`.

import { Acts } from "./acts.js";
import { Ballot } from "./ballot.js";
import { preload, source, tidy } from "./clips.js";
import { Desk } from "./desk.js";
import { Dialogs, SkipDialog } from "./dialogs.js";
import { fill, number, remembered } from "./dom.js";
import { FirstImage } from "./first.js";
import { Guide } from "./guide.js";
import { History } from "./history.js";
import { KeyMap } from "./keys.js";
import { KeysDialog } from "./keysdialog.js";
import { Lockstep } from "./lockstep.js";
import { mint } from "./outbox.js";
import { Remark } from "./remark.js";
import { SignIn } from "./signin.js";
import { Stage } from "./stage.js";
import { View } from "./view.js";
import { Zoom } from "./zoom.js";

const SLIP = 1500; // milliseconds after a blind answer before the score is fetched by itself
const GATE_SECONDS = 0.5; // what is left to watch is told in steps of this

export class Page {
  constructor(root) {
    this.keys = new KeyMap();
    this.view = new View(root, this.keys);
    this.words = this.view.words;
    this.state = "loading"; // ask, idle, pair, due, reveal, feedback
    this.stage = new Stage(root, this.words);
    this.player = new Lockstep(...this.stage.videos, () => this.played());
    Object.assign(this.player, remembered("player"));
    this.zoom = new Zoom(this.stage.place, this.words.zoomed, (scale) => this.view.press("zoom", scale > 1));
    this.remark = new Remark(root);
    this.dialogs = new Dialogs(root);
    this.first = new FirstImage(root, this.words, this.dialogs);
    this.guide = new Guide(this.dialogs, this.words);
    this.skips = new SkipDialog(this.dialogs, (key, text) => this.skip(key, text));
    this.acts = new Acts(this);
    this.history = new History(this.dialogs, this.view, (vote) => this.desk.reopen(vote));
    this.keysDialog = new KeysDialog(this.dialogs, this.keys, this.words, () => this.fresh());
    this.signin = new SignIn(root, this.words, () => this.desk.entered());
    this.desk = new Desk(this);
  }

  // What comes next

  enter(state) {
    clearTimeout(this.timer);
    this.state = state;
    this.since = this.begun = performance.now();
    this.view.enter(state);
    this.enable();
  }

  // A page from the server: a pair, a blind answer whose score is due, or nothing to do.
  turn(page) {
    this.page = page;
    this.view.me(page);
    this.view.campaign(page.campaign);
    if (page.notice) this.view.notice(page.notice.text, page.notice.kind);
    if (page.due) return this.desk.reveal(page.due.vote);
    if (page.pair) this.show(page.pair, page.preload);
    else this.idle(page.idle);
    if (this.guide.news(page.campaign, page.annotator)) this.acts.guide();
  }

  idle(why) {
    this.player.pause();
    this.player.clear();
    this.pair = null;
    if (why) this.view.idle(why);
    this.enter("idle");
    this.desk.lookLater();
  }

  async show(pair, next) {
    this.pair = pair;
    this.vote = mint();
    this.ballot = new Ballot(this.page.campaign.questions, pair.previous);
    this.ready = false;
    this.zoom.reset();
    this.stage.clear();
    this.view.pair(pair);
    this.first.show(pair.image);
    this.remark.begin(this.ballot, this.page.campaign);
    this.enter("pair");
    this.ask();
    if (!(await this.load(pair))) return;
    this.ready = true;
    this.since = this.begun = performance.now();
    this.enable();
    preload(next);
    tidy([pair.left, pair.right, pair.image, ...next]);
  }

  // Put the pair's clips on the stage; false if another pair has come in the meantime.
  async load(pair) {
    const waits = setInterval(() => this.stage.waiting(this.player.waits), 100);
    const loaded = await this.player.load([source(pair.left), source(pair.right)], pair.fps);
    clearInterval(waits);
    if (!loaded) return false;
    const trouble = this.stage.loaded(this.player);
    if (trouble) this.view.notice(trouble, "trouble");
    if (!this.calm && !this.dialogs.open) this.player.play();
    else this.player.changed();
    return true;
  }

  get calm() {
    return matchMedia("(prefers-reduced-motion: reduce)").matches;
  }

  // The question that stands now.
  ask() {
    this.view.question(this.ballot, this.pair.opinion?.best);
    this.enable();
  }

  // A blind answer is stored; its score comes in a moment, and until then a slip is undone unseen.
  due({ vote, answer }) {
    this.held = vote;
    this.view.due(answer, this.ballot.final?.strength);
    this.enter("due");
    if (remembered("reveal") ?? true) this.timer = setTimeout(() => this.desk.reveal(vote), SLIP);
  }

  reveal(reveal) {
    this.revealed = reveal;
    this.vote = mint();
    this.view.reveal(this.pair, reveal, this.ballot.final?.strength);
    this.enter("reveal");
  }

  feedback(feedback) {
    this.view.feedback(feedback);
    this.enter("feedback");
  }

  // After every frame: the stage, and the gate while it is closed.
  played() {
    this.stage.show(this.player);
    if (this.state === "pair" && this.locked !== this.gate()) this.enable();
    else if (this.locked) this.tellGate();
  }

  // Whether the answers wait until both clips have played through once.
  gate() {
    return Boolean(this.page?.campaign.gate && this.pair && !this.broken && !this.player.through);
  }

  tellGate() {
    const seconds = Math.ceil(this.player.missing / GATE_SECONDS) * GATE_SECONDS;
    const text = this.player.playing ? this.words.gate : this.words.gate_paused;
    this.view.gate(fill(text, { seconds: number(seconds, 1) }));
  }

  enable() {
    const revealed = this.state === "reveal";
    const may = this.mayAnswer();
    const locked = this.state === "pair" && this.gate();
    if (this.locked && !locked && this.state === "pair") this.view.say(this.words.gate_open);
    this.locked = locked;
    this.view.root.dataset.ready = may;
    this.view.enable({
      answers: may && !this.broken && !locked,
      skip: !this.busy && this.state === "pair",
      undo: !this.busy && Boolean(this.page?.progress.newest),
      keep: may && revealed,
      agree: !this.busy,
      previous: may && this.state === "pair" && this.ballot?.step > 0,
      mine: this.mine(),
      dimension: this.state === "pair" && this.ballot && !this.ballot.overall,
    });
    if (locked) this.tellGate();
    else this.view.gate("");
  }

  // The answer that stands so far: to be kept or changed, to be edited, or said to this question.
  mine() {
    const { ballot, pair } = this;
    if (this.state !== "pair") return ballot?.final ?? null;
    return ballot?.overall ? (pair?.previous ?? null) : { answer: ballot?.said };
  }

  get broken() {
    return this.player.broken.some(Boolean);
  }

  mayAnswer() {
    return !this.busy && (this.state === "reveal" || (this.state === "pair" && this.ready));
  }

  // Answers

  strength(strong) {
    return this.page.campaign.strength ? (strong ? "clearly" : "slightly") : null;
  }

  answer(answer, strong) {
    if (!this.mayAnswer() || this.broken) return;
    if (this.locked) return this.view.say(this.view.find(".sl-gate").textContent);
    if (this.ballot.take(answer, this.strength(strong))) return this.cast(this.pair.ticket);
    this.since = performance.now();
    this.ask();
  }

  // Keep or change, after the reveal; the strength stays unless it is asked for again.
  settle(answer, strong, { same }) {
    const kept = this.ballot.final?.strength ?? null;
    this.ballot.take(answer, same ? kept : this.strength(strong));
    this.cast(this.revealed.ticket, answer === this.revealed.answer ? "keep" : "change");
  }

  back() {
    if (this.ballot.previous()) this.ask();
  }

  askSkip() {
    if (this.busy) return;
    const { skips } = this.page.campaign;
    const broken = this.broken && skips.find(({ key }) => key === "broken");
    if (broken || !skips.length) return this.skip(broken?.key ?? "", "");
    this.acts.dialog(() => this.skips.ask(skips));
  }

  skip(key, text) {
    if (text.trim()) this.ballot.comment = text;
    this.ballot.take("skip", null);
    this.cast(this.pair.ticket, "", key);
  }

  cast(ticket, reason = "", skip = "") {
    const seconds = (performance.now() - this.begun) / 1000; // over all questions of the pair
    const watched = this.player.facts();
    const hold = this.state === "pair" && !this.pair.opinion;
    this.remark.close();
    this.desk.cast({ id: this.vote, ticket, ...this.ballot.body(), reason, skip, seconds, watched, hold });
  }

  // The keys have changed: so have the hints.
  fresh() {
    this.view.showKeys();
    if (this.state === "pair") this.view.hints(this.ballot.overall ? this.pair.opinion?.best : null);
  }
}
