// Written by ui/generate.py. Do not edit.

import type { StateType } from "./api";

/** One glyph a type of state; its colour is the variable `--state-TYPE` of states.css. */
export const LOOKS: Record<StateType, { glyph: string }> = {
  "SCHEDULED": {
    "glyph": "◷"
  },
  "PENDING": {
    "glyph": "○"
  },
  "RUNNING": {
    "glyph": "▶"
  },
  "COMPLETED": {
    "glyph": "✓"
  },
  "FAILED": {
    "glyph": "✗"
  },
  "CANCELLED": {
    "glyph": "⊘"
  },
  "CRASHED": {
    "glyph": "⚡"
  },
  "PAUSED": {
    "glyph": "‖"
  },
  "CANCELLING": {
    "glyph": "◌"
  }
};

/** The names that the engine writes, and their types. */
export const NAMES: Record<string, StateType> = {
  "Scheduled": "SCHEDULED",
  "Late": "SCHEDULED",
  "AwaitingRetry": "SCHEDULED",
  "AwaitingConcurrencySlot": "SCHEDULED",
  "Resuming": "SCHEDULED",
  "Pending": "PENDING",
  "NotReady": "PENDING",
  "Running": "RUNNING",
  "Retrying": "RUNNING",
  "Completed": "COMPLETED",
  "Cached": "COMPLETED",
  "Failed": "FAILED",
  "TimedOut": "FAILED",
  "Cancelling": "CANCELLING",
  "Cancelled": "CANCELLED",
  "Crashed": "CRASHED",
  "Paused": "PAUSED",
  "Suspended": "PAUSED"
};

export const FINAL: ReadonlySet<StateType> = new Set<StateType>(["CANCELLED", "COMPLETED", "CRASHED", "FAILED"]);
