/** The page's state: the reducers applied to every event, and who wants to know. */
import { NO_CAPTIONS, reduceCaptions, type Captions } from "./captions";
import type { CallEvent } from "./events";
import { reduceLatency, type Turn } from "./latency";
import { IDLE, reduceStatus, type CallStatus } from "./phase";

export interface CallState {
  status: CallStatus;
  captions: Captions;
  turns: Turn[];
}

type Subscriber = (state: CallState, event: CallEvent, before: CallState) => void;

export class Store {
  state: CallState = { status: IDLE, captions: NO_CAPTIONS, turns: [] };
  private readonly subscribers: Subscriber[] = [];

  dispatch = (event: CallEvent): void => {
    const before = this.state;
    this.state = {
      status: reduceStatus(before.status, event),
      captions: reduceCaptions(before.captions, event),
      turns: reduceLatency(before.turns, event),
    };
    for (const subscriber of this.subscribers) subscriber(this.state, event, before);
  };

  subscribe(subscriber: Subscriber): void {
    this.subscribers.push(subscriber);
  }
}
