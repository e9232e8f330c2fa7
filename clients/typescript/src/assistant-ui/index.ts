/** assistant-ui's threads and messages, kept in the session store. */

import { useAui, type RemoteThreadListAdapter, type RuntimeAdapters } from "@assistant-ui/react";
import { useEffect, useMemo, useRef } from "react";

import type { Client } from "../client.js";
import { createHistoryAdapter, type HistoryOptions, type Thread } from "./history.js";
import { createThreads, type ThreadListOptions } from "./threads.js";

export { createHistoryAdapter, type HistoryOptions, type Thread } from "./history.js";
export type { ThreadListOptions } from "./threads.js";

/**
 * For `useRemoteThreadListRuntime`. The runtime of each thread gets its history and its feedback
 * from here, too.
 */
export function createThreadListAdapter(
  client: Client,
  options: ThreadListOptions & HistoryOptions = {},
): RemoteThreadListAdapter {
  return {
    ...createThreads(client, options),
    unstable_useAdapters: function useSessionStoreAdapters(): RuntimeAdapters {
      const aui = useAui();
      const latest = useRef(aui);
      useEffect(() => {
        latest.current = aui;
      });
      return useMemo(() => {
        const history = createHistoryAdapter(client, () => currentThread(latest.current), options);
        return { history, feedback: history.feedback };
      }, []);
    },
  };
}

/** The item of the thread itself, which stays the same when the user switches to another. */
function currentThread(aui: ReturnType<typeof useAui>): Thread {
  const item = aui.threadListItem;
  const { id } = item.getState();
  const { threadItems } = aui.threads.getState();
  return threadItems.some((listed) => listed.id === id) ? aui.threads.item({ id }) : item;
}
