// How things are called on the desktop: states, reasons, times, names.

export const STATES = {
  queued: { icon: 'queued', name: 'Sending', about: 'Genesys has not handed it over yet.' },
  sent: { icon: 'sent', name: 'Sent', about: 'It left Genesys. Whether it reached the customer is not known yet.' },
  published: { icon: 'sent', name: 'Published', about: 'A receipt says that it was published.' },
  'delivery-success': { icon: 'delivered', name: 'Delivered', about: 'A receipt says that it reached the customer.' },
  read: { icon: 'delivered', name: 'Read', about: 'A receipt says that the customer has read it.' },
  'delivery-failed': { icon: 'failed', name: 'Not delivered', about: 'The customer has not got this message.' },
  removed: { icon: 'failed', name: 'Removed', about: 'A receipt says that it was removed.' },
};

// What Genesys's reason codes mean to an agent.
export const REASONS = {
  MessageExpired: 'It waited too long: the customer could not be reached in time.',
  RateLimited: 'The chat service took no more messages at that moment.',
  MessageNotAllowed: 'The chat service does not allow this message.',
  GeneralError: 'Something went wrong on the way.',
  UnsupportedMessage: 'The chat service cannot show this kind of message.',
  UnknownMessage: 'The chat service does not know this message.',
  InvalidMessageStructure: 'The message could not be understood on the way.',
  InvalidDestination: 'The customer is no longer there.',
  ServerError: 'The chat service is out of order.',
  MediaTypeNotAllowed: 'The chat service does not take files of this kind.',
  InvalidMediaContentLength: 'The file is too large for the chat service.',
  RecipientOptedOut: 'The customer does not want messages.',
};

const CONTENT = {
  Attachment: 'File',
  QuickReply: 'Quick replies',
  QuickReplyV2: 'Quick replies',
  Card: 'Card',
  Carousel: 'Cards',
  ButtonResponse: 'Reply',
};

export const contentName = (type) => CONTENT[type] ?? 'Message';

const sameDay = (a, b) => a.toDateString() === b.toDateString();

// The time today, the day before that.
export function shortTime(at, now = new Date()) {
  const time = new Date(at);
  const today = { hour: '2-digit', minute: '2-digit' };
  return time.toLocaleString([], sameDay(time, now) ? today : { day: 'numeric', month: 'short' });
}

export function day(at, now = new Date()) {
  const time = new Date(at);
  if (sameDay(time, now)) return 'Today';
  return time.toLocaleDateString([], { weekday: 'long', day: 'numeric', month: 'long', year: 'numeric' });
}

export const exactTime = (at) => new Date(at).toLocaleString([], { dateStyle: 'medium', timeStyle: 'medium' });

export const clockTime = (at) => new Date(at).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });

export function initials(name) {
  const words = name.split(/[^\p{L}\p{N}]+/u).filter((word) => word !== '');
  const letters = words.length > 1 ? [words[0], words.at(-1)] : words;
  return letters.map((word) => [...word][0].toUpperCase()).join('') || '?';
}

// One of eight hues, always the same for a name.
export function hue(name) {
  let sum = 0;
  for (const letter of name) sum = (sum * 31 + letter.codePointAt(0)) % 997;
  return `hue-${sum % 8}`;
}

export function size(bytes) {
  if (typeof bytes !== 'number') return '';
  if (bytes < 1024) return `${bytes} B`;
  if (bytes < 1024 * 1024) return `${Math.round(bytes / 1024)} kB`;
  return `${(bytes / 1024 / 1024).toFixed(1)} MB`;
}
