"""A data layer of Chainlit: users, threads, steps, elements and feedback.

A thread is a session of its user; its key is the thread's id. A step is a message (`chainlit.step`)
that is edited in place. Chainlit gives the id of a thread or step before it says whose it is, so
values of the tenant tell: `chainlit/threads/<d>` has a thread's user, `chainlit/steps/<d>` a step's
thread and message, `chainlit/feedback/<d>` a feedback's step, `chainlit/users/<id>` a user. `<d>` is
a digest of the id. The token needs the scopes sessions:read, sessions:write, sessions:act-for-user,
tenant-values:read and tenant-values:write.
"""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any, cast
from weakref import WeakValueDictionary

from chainlit.context import context
from chainlit.data.base import BaseDataLayer
from chainlit.data.utils import queue_until_user_message
from chainlit.element import Element, ElementDict
from chainlit.step import StepDict
from chainlit.types import (
    Feedback,
    PageInfo,
    PaginatedResponse,
    Pagination,
    ThreadDict,
    ThreadFilter,
)
from chainlit.user import PersistedUser, User
from chainlit.utils import utc_now

from session_store import AsyncClient, NotFound, PreconditionFailed, session_id_of
from session_store.adapters._chainlit_records import (
    ANONYMOUS,
    FEEDBACK,
    Owner,
    Place,
    digest,
    favorite_name,
    head_name,
    merged,
    message_of,
    metadata_of,
    patch_of,
    step_name,
    step_of,
    thread_name,
    user_id_of,
    user_name,
    user_of,
)
