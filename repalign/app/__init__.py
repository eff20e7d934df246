"""App: the chat page. It needs the extra `app`; `Chat` and `Conversation` need no browser."""

from repalign.app.chat import Chat as Chat
from repalign.app.conversation import Answer as Answer
from repalign.app.conversation import Conversation as Conversation
from repalign.app.conversation import Settings as Settings
from repalign.app.conversation import Turn as Turn
from repalign.app.shading import Shading as Shading
