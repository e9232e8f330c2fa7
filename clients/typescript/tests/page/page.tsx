/** A page as an application has it: assistant-ui over the session store, with a fake model. */
import {
  ActionBarPrimitive,
  AssistantRuntimeProvider,
  BranchPickerPrimitive,
  ComposerPrimitive,
  MessagePrimitive,
  ThreadListItemPrimitive,
  ThreadListPrimitive,
  ThreadPrimitive,
  useAui,
  useAuiState,
  useLocalRuntime,
  useRemoteThreadListRuntime,
  type ChatModelAdapter,
  type ChatModelRunResult,
} from "@assistant-ui/react";
import { useChatRuntime } from "@assistant-ui/react-ai-sdk";
import { createUIMessageStream, type ChatTransport, type UIMessage } from "ai";
import { createRoot } from "react-dom/client";
import { createClient } from "session-store-client";
import { createThreadListAdapter } from "session-store-client/assistant-ui";

const settings = new URLSearchParams(location.search);
const baseUrl = settings.get("api")!;
const client = createClient({ baseUrl, token: settings.get("token")! });

async function* says(...pieces: string[]): AsyncGenerator<ChatModelRunResult, void> {
  let text = "";
  for (const piece of pieces) {
    text += piece;
    await new Promise((resolve) => setTimeout(resolve, 20));
    yield { content: [{ type: "text", text }] };
  }
}

const model: ChatModelAdapter = {
  async *run({ messages, abortSignal }) {
    const [part] = messages.at(-1)!.content;
    const question = part?.type === "text" ? part.text : "";
    yield* says("You ", "said: ", question);
    if (!question.includes("slowly")) return;
    await new Promise((_, reject) => {
      abortSignal.onabort = () => reject(new DOMException("Stopped", "AbortError"));
    });
  },
};

/** The same model for the AI SDK. */
const transport: ChatTransport<UIMessage> = {
  sendMessages: async ({ messages }) =>
    createUIMessageStream({
      execute({ writer }) {
        const [part] = messages.at(-1)!.parts;
        const question = part?.type === "text" ? part.text : "";
        writer.write({ type: "text-start", id: "t" });
        writer.write({ type: "text-delta", id: "t", delta: `You said: ${question}` });
        writer.write({ type: "text-end", id: "t" });
      },
    }),
  reconnectToStream: async () => null,
};

const mode = settings.get("mode");
const useRuntime =
  mode === "ai-sdk" ? () => useChatRuntime({ transport }) : () => useLocalRuntime(model);

const adapter = createThreadListAdapter(client, {
  domainId: "page",
  ...(mode === "resume" && { resume: () => says("Resumed ", "answer") }),
});

function App() {
  const runtime = useRemoteThreadListRuntime({ runtimeHook: useRuntime, adapter });
  return (
    <AssistantRuntimeProvider runtime={runtime}>
      <div style={{ display: "flex", gap: 24, font: "15px sans-serif" }}>
        <nav style={{ width: 420 }}>
          <ThreadListPrimitive.Root>
            <ThreadListPrimitive.New id="new">New thread</ThreadListPrimitive.New>
            <h4>Threads</h4>
            <ol id="threads">
              <ThreadListPrimitive.Items>{() => <Item />}</ThreadListPrimitive.Items>
            </ol>
            <h4>Archived</h4>
            <ol id="archived">
              <ThreadListPrimitive.Items archived>{() => <Item />}</ThreadListPrimitive.Items>
            </ol>
          </ThreadListPrimitive.Root>
        </nav>
        <main style={{ width: 600 }}>
          <ThreadPrimitive.Root>
            <ThreadPrimitive.Messages>{() => <Message />}</ThreadPrimitive.Messages>
            <ComposerPrimitive.Root id="composer">
              <ComposerPrimitive.Input submitMode="enter" />
              <ComposerPrimitive.Send>Send</ComposerPrimitive.Send>
              <ComposerPrimitive.Cancel>Stop</ComposerPrimitive.Cancel>
            </ComposerPrimitive.Root>
          </ThreadPrimitive.Root>
        </main>
      </div>
    </AssistantRuntimeProvider>
  );
}

function Item() {
  const aui = useAui();
  const custom = useAuiState(({ threadListItem }) => threadListItem.custom);
  return (
    <li>
      <ThreadListItemPrimitive.Root>
        <ThreadListItemPrimitive.Trigger>
          <ThreadListItemPrimitive.Title fallback="Untitled" />
        </ThreadListItemPrimitive.Trigger>{" "}
        <button onClick={() => aui.threadListItem.rename("A name of my own")}>Rename</button>
        <button onClick={() => aui.threadListItem.updateCustom({ colour: "blue" })}>Paint</button>
        <ThreadListItemPrimitive.Archive>Archive</ThreadListItemPrimitive.Archive>
        <ThreadListItemPrimitive.Unarchive>Unarchive</ThreadListItemPrimitive.Unarchive>
        <ThreadListItemPrimitive.Delete>Delete</ThreadListItemPrimitive.Delete>
        {custom?.["colour"] ? <em>{String(custom["colour"])}</em> : null}
      </ThreadListItemPrimitive.Root>
    </li>
  );
}

function Message() {
  const aui = useAui();
  const isEditing = useAuiState(({ message }) => message.composer.isEditing);
  const role = useAuiState(({ message }) => message.role);
  const status = useAuiState(({ message }) => message.status?.type);
  const rating = useAuiState(({ message }) => message.metadata.submittedFeedback?.type);
  if (isEditing) {
    return (
      <ComposerPrimitive.Root id="editor">
        <ComposerPrimitive.Input />
        <ComposerPrimitive.Send>Save</ComposerPrimitive.Send>
      </ComposerPrimitive.Root>
    );
  }
  return (
    <MessagePrimitive.Root className={role} data-status={status} data-rating={rating}>
      <div className="text">
        <MessagePrimitive.Parts />
      </div>
      <ActionBarPrimitive.Root>
        {role === "user" ? <ActionBarPrimitive.Edit>Edit</ActionBarPrimitive.Edit> : null}
        {role === "assistant" ? (
          <>
            <ActionBarPrimitive.Reload>Again</ActionBarPrimitive.Reload>
            <ActionBarPrimitive.FeedbackPositive>Good</ActionBarPrimitive.FeedbackPositive>
          </>
        ) : null}
        <button onClick={() => void aui.message.delete()}>Remove</button>
      </ActionBarPrimitive.Root>
      <BranchPickerPrimitive.Root hideWhenSingleBranch className="branches">
        <BranchPickerPrimitive.Previous>Previous</BranchPickerPrimitive.Previous>
        <BranchPickerPrimitive.Number />/<BranchPickerPrimitive.Count />
        <BranchPickerPrimitive.Next>Next</BranchPickerPrimitive.Next>
      </BranchPickerPrimitive.Root>
    </MessagePrimitive.Root>
  );
}

createRoot(document.getElementById("app")!).render(<App />);
