// The answer while it is being made: one question after the other, the overall one last; strength,
// comment, flags. Knows neither the page nor the server.

const VERDICTS = ["left", "right", "tie"];

export class Ballot {
  constructor(questions, previous) {
    this.questions = questions.length ? questions : [{ key: "overall", text: "", rule: "" }];
    this.step = 0;
    this.answers = { ...previous?.answers };
    this.comment = previous?.comment ?? "";
    this.flags = new Set(previous?.flags ?? []);
    this.final = null; // {answer, strength}
  }

  get question() {
    return this.questions[this.step];
  }

  get overall() {
    return this.step === this.questions.length - 1;
  }

  // What has been said to the question that stands, on a second visit.
  get said() {
    return this.answers[this.question.key] ?? null;
  }

  // Take an answer. True when the ballot is complete; "unusable" and "skip" complete it at once.
  take(answer, strength) {
    const ends = this.overall || !VERDICTS.includes(answer);
    if (ends) {
      this.final = { answer, strength: ["left", "right"].includes(answer) ? strength : null };
      return true;
    }
    this.answers[this.question.key] = answer;
    this.step += 1;
    return false;
  }

  // One question back; false at the first.
  previous() {
    if (this.step === 0) return false;
    this.step -= 1;
    return true;
  }

  // What goes to the server, besides the ticket.
  body() {
    const { comment, answers } = this;
    return { ...this.final, answers, comment: comment.trim(), flags: [...this.flags] };
  }
}
