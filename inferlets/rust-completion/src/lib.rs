//! Answers a prompt, streaming the answer on stdout: a program in Rust, over the interfaces of `wit/`
//! alone. The engine goes from token to token by itself (`pie:decode`); the program reads what comes.
//!
//! Arguments: the prompt, and how many tokens the answer may have (64).
use std::io::Write;

wit_bindgen::generate!({
    path: "../../wit",
    generate_all,
    inline: "
        package pie:rust-completion;
        world completion {
            import inferlet:core/runtime;
            import inferlet:core/common;
            import inferlet:core/tokenize;
            import pie:chat/conversation@0.1.0;
            import pie:decode/generate@0.1.0;
            import pie:model/info@0.1.0;
            export inferlet:core/run;
        }
    ",
});

use exports::inferlet::core::run::Guest;
use inferlet::core::common::{allocate_resources, Model};
use inferlet::core::{runtime, tokenize};
use pie::chat::conversation::{render, Conversation, Message, ToolChoice};
use pie::decode::generate::{Attention, Drafting, Generation, Reason, Request, Sampling};

/// The resource type of KV pages.
const KV_PAGE: u32 = 0;

/// The prompt as the model's chat template writes it, with the answer's turn open.
fn written(model: &Model, prompt: &str) -> Result<String, String> {
    let user = Message {
        role: "user".into(),
        content: prompt.into(),
        reasoning: String::new(),
        tool_calls: Vec::new(),
        tool_call_id: String::new(),
        tool_name: String::new(),
    };
    let conversation = Conversation {
        messages: vec![user],
        tools: Vec::new(),
        tool_choice: ToolChoice::None,
        parallel_tool_calls: false,
        template_arguments: String::new(),
        add_generation_prompt: true,
    };
    Ok(render(model, &conversation)?.prompt())
}

/// Greedy, with drafts looked up in the text: these change no token.
fn greedy() -> (Sampling, Drafting) {
    let sampling = Sampling {
        temperature: 0.0,
        top_k: 0,
        top_p: 1.0,
        min_p: 0.0,
        typical_p: 1.0,
        xtc_probability: 0.0,
        xtc_threshold: 0.1,
        penalties: None,
        dry: None,
        mirostat: None,
        bias: Vec::new(),
        seed: None,
    };
    (sampling, Drafting { tokens_max: 8, match_min: 3, sources: Vec::new() })
}

/// What the engine is to do: compute the prompt, and go on from it.
fn request(model: &Model, queue: &inferlet::core::common::Queue, prompt: &str, tokens_max: u32)
    -> Result<Request, String> {
    let tokenizer = tokenize::get_tokenizer(model);
    let pending = tokenizer.tokenize(&written(model, prompt)?);
    let stop_tokens = model.get_stop_tokens().iter()
        .map(|text| tokenizer.tokenize(text))
        .filter(|tokens| tokens.len() == 1)
        .map(|tokens| tokens[0])
        .collect();
    let slots = pending.len() as u32 + tokens_max;
    let (sampling, drafting) = greedy();
    Ok(Request {
        pages: allocate_resources(queue, KV_PAGE, slots.div_ceil(model.get_kv_page_size())),
        context_length: 0,
        context: Vec::new(),
        pending,
        position: 0,
        attention: Attention::Everything,
        sampling,
        drafting,
        stop_tokens,
        stop_texts: Vec::new(),
        tokens_max,
        log_probabilities: false,
        ranked: 0,
        wake_tokens: 1,
    })
}

struct Completion;

impl Guest for Completion {
    fn run() -> Result<(), String> {
        let arguments = runtime::get_arguments();
        let prompt = arguments.first().ok_or("[arguments] got none, expected a prompt")?;
        let tokens_max = match arguments.get(1) {
            Some(text) => text.parse().map_err(|_| {
                format!("[arguments] got \"{text}\" tokens, expected a number")
            })?,
            None => 64,
        };
        let name = runtime::get_all_models().into_iter().next().ok_or("there is no model")?;
        let model = runtime::get_model(&name).ok_or("the model is gone")?;
        let queue = model.create_queue();
        let generation = Generation::start(&queue, &request(&model, &queue, prompt, tokens_max)?)?;
        let wake = generation.pollable();
        let mut answer = String::new();
        loop {
            wake.block();
            let end = generation.end();
            let piece = generation.read();
            print!("{}", piece.text);
            std::io::stdout().flush().map_err(|error| error.to_string())?;
            answer += &piece.text;
            match end {
                Some(end) if end.reason == Reason::Failed => return Err(end.message),
                Some(_) => break,
                None => {}
            }
        }
        runtime::set_return(&answer);
        Ok(())
    }
}

export!(Completion);
