// The page's dealings with the server: who is here, what comes next, votes, undo, reveal, history. A
// vote that cannot be delivered waits in the browser (`outbox.js`) and everything else waits for it.

import { fill } from "./dom.js";
import { ask, deliver, kept, mint, Refusal } from "./outbox.js";

const LOOK_AGAIN = 4000; // milliseconds between looks for new pairs while there is none

export class Desk {
  constructor(page) {
    this.page = page;
    this.view = page.view;
    this.words = page.words;
  }

  async begin() {
    const waiting = kept();
    if (waiting) return this.send(waiting.path, waiting.body, () => this.look());
    try {
      const known = await ask("api/me");
      known.annotator && !this.page.signin.invitation ? this.look() : this.askName(known);
    } catch (problem) {
      this.#trouble(problem, () => this.begin());
    }
  }

  async look() {
    try {
      const page = await ask("api/next");
      this.view.notice("");
      this.page.turn(page);
    } catch (problem) {
      this.#trouble(problem, () => this.look());
    }
  }

  lookLater() {
    this.#later(() => this.look());
  }

  #trouble(problem, again) {
    if (problem instanceof Refusal && problem.status === 401) return this.askName();
    const later = problem.status === 429;
    this.#tell(later ? null : problem);
    this.#later(again);
  }

  // Why something was refused; anything else is a server that does not answer.
  #tell(problem) {
    const refused = problem instanceof Refusal;
    const why = refused ? fill(this.words.refused, { why: problem.message }) : this.words.unreachable;
    this.view.notice(why, "trouble");
  }

  #later(act) {
    clearTimeout(this.page.timer);
    this.page.timer = setTimeout(act, LOOK_AGAIN);
  }

  // Send until it has arrived; then `then`. Refused for good: say why, and look what is true now.
  async send(path, body, then) {
    const { page } = this;
    page.busy = true;
    page.enable();
    const waiting = (is) => this.view.notice(is ? this.words.waiting : this.words.delivered, "trouble");
    try {
      const answer = await deliver(path, body, waiting);
      page.busy = false;
      this.view.notice("");
      then(answer);
    } catch (problem) {
      page.busy = false;
      if (!(problem instanceof Refusal)) throw problem;
      if (problem.status === 401) return this.askName();
      await this.look();
      this.#tell(problem);
    }
  }

  // Who is here

  async askName(known) {
    this.page.player.pause();
    this.page.enter("ask");
    this.page.signin.show(known ?? (await ask("api/me").catch(() => ({ accounts: false }))));
  }

  entered() {
    this.begin();
  }

  async switchTo(name) {
    await this.#once("api/campaign", { name }, (page) => this.page.turn(page));
  }

  // Votes

  cast(body) {
    this.send("api/vote", body, (taken) => this.taken(taken));
  }

  taken({ reveal, feedback, page }) {
    this.page.page = page;
    this.view.me(page);
    if (reveal) return this.page.reveal(reveal);
    if (page.due) return this.page.due(page.due);
    if (!feedback) return this.page.turn(page);
    this.page.feedback(feedback);
  }

  goOn() {
    this.page.turn(this.page.page);
  }

  // The score behind one's own blind answer; after a reload the pair comes with it.
  async reveal(vote) {
    this.revealing = vote;
    await this.#once("api/reveal", { vote }, async (reveal) => {
      if (this.revealing !== vote) return; // taken back in the meantime
      if (reveal.pair && !sameClips(reveal.pair, this.page.pair)) await this.#bring(reveal);
      this.page.reveal(reveal);
    });
  }

  async #bring({ pair, answer }) {
    await this.page.show({ ...pair, opinion: null }, []);
    this.page.ballot.take(answer, null);
  }

  undo() {
    const { page } = this;
    if (page.busy || !["pair", "due", "reveal", "idle", "feedback"].includes(page.state)) return;
    const newest = page.page?.progress.newest;
    if (!newest) return this.view.notice(this.words.nothing_to_undo);
    clearTimeout(page.timer);
    this.revealing = null;
    this.send("api/undo", { id: mint(), vote: newest }, (answer) => {
      page.turn(answer);
      this.view.notice(this.words.undone);
    });
  }

  async history() {
    await this.#once("api/history", null, (votes) =>
      this.page.acts.dialog(() => this.page.history.show(votes)),
    );
  }

  async reopen(vote) {
    await this.#once("api/reopen", { vote }, (page) => {
      this.view.notice("");
      this.page.turn(page);
    });
  }

  // Ask once; where it fails, say so and leave everything as it is.
  async #once(path, body, then) {
    if (this.page.busy) return;
    let answer;
    try {
      answer = await ask(path, body);
    } catch (problem) {
      if (problem instanceof Refusal && problem.status === 401) return this.askName();
      this.#tell(problem);
      if (this.page.state === "loading") this.lookLater();
      return;
    }
    await then(answer);
  }
}

// A prompt has many pairs; its clips' addresses are the same for as long as one is who one is.
function sameClips(one, other) {
  return one.left === other?.left && one.right === other?.right;
}
