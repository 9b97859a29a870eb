// Answers a prompt: a program in TypeScript, over the interfaces of wit/ alone. The engine goes from
// token to token by itself (pie:decode); each piece of the answer that comes is sent to the client as
// a message.
//
// Arguments: the prompt, and how many tokens the answer may have (64).
import { allocateResources, type Model, type Queue } from "inferlet:core/common";
import { send } from "inferlet:core/message";
import { getAllModels, getArguments, getModel, setReturn } from "inferlet:core/runtime";
import { getTokenizer } from "inferlet:core/tokenize";
import { render } from "pie:chat/conversation@0.1.0";
import { Generation, type Request } from "pie:decode/generate@0.1.0";

/// The resource type of KV pages.
const KV_PAGE = 0;

/// The prompt as the model's chat template writes it, with the answer's turn open.
function written(model: Model, prompt: string): string {
  const user = { role: "user", content: prompt, reasoning: "", toolCalls: [], toolCallId: "", toolName: "" };
  return render(model, {
    messages: [user],
    tools: [],
    toolChoice: "none",
    parallelToolCalls: false,
    templateArguments: "",
    addGenerationPrompt: true,
  }).prompt();
}

/// What the engine is to do: compute the prompt, and go on from it, greedily, with drafts looked up
/// in the text (these change no token).
function request(model: Model, queue: Queue, prompt: string, tokensMax: number): Request {
  const tokenizer = getTokenizer(model);
  const pending = tokenizer.tokenize(written(model, prompt));
  const stops = model.getStopTokens().map((text) => tokenizer.tokenize(text));
  const pages = Math.ceil((pending.length + tokensMax) / model.getKvPageSize());
  return {
    pages: allocateResources(queue, KV_PAGE, pages),
    contextLength: 0,
    context: new Uint32Array(),
    pending,
    position: 0,
    attention: { tag: "everything" },
    sampling: {
      temperature: 0, topK: 0, topP: 1, minP: 0, typicalP: 1, xtcProbability: 0, xtcThreshold: 0.1,
      bias: [],
    },
    drafting: { tokensMax: 8, matchMin: 3, sources: [] },
    stopTokens: Uint32Array.from(stops.filter((one) => one.length === 1).map((one) => one[0])),
    stopTexts: [],
    tokensMax,
    logProbabilities: false,
    ranked: 0,
    wakeTokens: 1,
  };
}

function answer(prompt: string, tokensMax: number): string {
  const model = getModel(getAllModels()[0]);
  if (model === undefined) throw new Error("the server has no model");
  const queue = model.createQueue();
  const generation = Generation.start(queue, request(model, queue, prompt, tokensMax));
  const wake = generation.pollable();
  let whole = "";
  for (;;) {
    wake.block();
    const end = generation.end();
    const piece = generation.read();
    if (piece.text !== "") send(piece.text);
    whole += piece.text;
    if (end?.reason === "failed") throw new Error(end.message);
    if (end !== undefined) return whole;
  }
}

/// A `result` of the host's that is an error is thrown, with its text as `payload`; what `run` throws
/// has to be such a text.
export const run = {
  run(): void {
    const [prompt, tokens = "64"] = getArguments();
    if (prompt === undefined) throw "[arguments] got none, expected a prompt";
    if (!/^[1-9][0-9]{0,8}$/.test(tokens)) throw `[arguments] got "${tokens}" tokens, expected a number`;
    try {
      setReturn(answer(prompt, Number(tokens)));
    } catch (error) {
      throw (error as { payload?: string }).payload ?? String(error);
    }
  },
};
