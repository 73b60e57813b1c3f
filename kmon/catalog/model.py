"""The shapes of targets and scenarios (``kmon/model.py``), under the name they had above the dialects."""

from __future__ import annotations

from kmon.model import GATEWAY_KEY_ENV as GATEWAY_KEY_ENV
from kmon.model import REGION as REGION
from kmon.model import SESSION_PREFIX as SESSION_PREFIX
from kmon.model import Auth as Auth
from kmon.model import Chain as Chain
from kmon.model import Check as Check
from kmon.model import Message as Message
from kmon.model import PromptTemplate as PromptTemplate
from kmon.model import Role as Role
from kmon.model import Scenario as Scenario
from kmon.model import Target as Target
from kmon.model import Tool as Tool
from kmon.model import ToolUse as ToolUse
