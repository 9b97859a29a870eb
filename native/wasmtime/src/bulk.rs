//! Host functions that take or give long lists, defined by their Rust types: a list of numbers is
//! copied whole, where the C API's dynamic values take some 90 bytes and 50 ns for each element.

use std::ffi::c_void;
use wasmtime_c_api::wasmtime::component::{LinkerInstance, ResourceAny, Val};
use wasmtime_c_api::wasmtime::{Error, Result, bail};
use wasmtime_c_api::*;

/// As the C API's callback, without the type. A list of numbers is a value of kind string with the
/// numbers' bytes, among the arguments and within the result.
pub type pie_wasmtime_bulk_callback_t = extern "C" fn(
    *mut c_void,
    WasmtimeStoreContextMut<'_>,
    *mut wasmtime_component_val_t,
    usize,
    *mut wasmtime_component_val_t,
    usize,
) -> Option<Box<wasmtime_error_t>>;

/// The same for a function that waits; as the C API's asynchronous callback.
pub type pie_wasmtime_bulk_async_callback_t = extern "C" fn(
    *mut c_void,
    WasmtimeStoreContextMut<'_>,
    *mut wasmtime_component_val_t,
    usize,
    *mut wasmtime_component_val_t,
    usize,
    &mut Option<Box<wasmtime_error_t>>,
    &mut wasmtime_async_continuation_t,
);

/// A callback with its data, which whoever defined it keeps alive and safe to share.
#[derive(Clone, Copy)]
struct Callback<Function> {
    function: Function,
    data: *mut c_void,
}
unsafe impl<Function> Send for Callback<Function> {}
unsafe impl<Function> Sync for Callback<Function> {}

type CVal = wasmtime_component_val_t;
type Context<'a> = WasmtimeStoreContextMut<'a>;

impl Callback<pie_wasmtime_bulk_callback_t> {
    fn call(&self, context: Context<'_>, mut arguments: Vec<CVal>) -> Result<CVal> {
        let mut result = CVal::Bool(false);
        match (self.function)(
            self.data,
            context,
            arguments.as_mut_ptr(),
            arguments.len(),
            &mut result,
            1,
        ) {
            None => Ok(result),
            Some(error) => Err(Error::from(*error)),
        }
    }
}

impl Callback<pie_wasmtime_bulk_async_callback_t> {
    fn call<'a>(
        &self,
        context: Context<'a>,
        mut arguments: Vec<CVal>,
    ) -> impl Future<Output = Result<CVal>> + Send + use<'a> {
        extern "C" fn nothing(_: *mut c_void) -> bool {
            true
        }
        let mut continuation = wasmtime_async_continuation_t {
            callback: nothing,
            env: std::ptr::null_mut(),
            finalizer: None,
        };
        let mut result = Box::new(CVal::Bool(false)); // the continuation keeps its address
        let mut error = None;
        (self.function)(
            self.data,
            context,
            arguments.as_mut_ptr(),
            arguments.len(),
            &mut *result,
            1,
            &mut error,
            &mut continuation,
        );
        let started = match error {
            None => Ok(()),
            Some(error) => Err(Error::from(*error)),
        };
        async move {
            started?;
            continuation.await;
            Ok(*result)
        }
    }
}

fn resource(one: ResourceAny) -> CVal {
    CVal::from(&Val::Resource(one))
}

fn wrong() -> Error {
    Error::msg("the host gave a value of another shape")
}

fn bytes_of(value: &mut CVal) -> Result<Vec<u8>> {
    match value {
        CVal::String(bytes) => Ok(bytes.take()),
        _ => bail!(wrong()),
    }
}

fn u32s_of(value: &mut CVal) -> Result<Vec<u32>> {
    let bytes = bytes_of(value)?;
    Ok(bytes.chunks_exact(4).map(|four| u32::from_le_bytes(four.try_into().unwrap())).collect())
}

fn f32s_of(value: &mut CVal) -> Result<Vec<f32>> {
    Ok(u32s_of(value)?.into_iter().map(f32::from_bits).collect())
}

/// The items of a list, or of a tuple.
fn items_of(value: &mut CVal) -> Result<Vec<CVal>> {
    match value {
        CVal::List(items) => Ok(items.take()),
        CVal::Tuple(items) => Ok(items.take()),
        _ => bail!(wrong()),
    }
}

fn pair_of(value: &mut CVal) -> Result<[CVal; 2]> {
    items_of(value)?.try_into().map_err(|_| wrong())
}

type Rankings = Vec<(Vec<u32>, Vec<f32>)>;

fn rankings_of(value: CVal) -> Result<Option<Rankings>> {
    let CVal::Option(payload) = value else { bail!(wrong()) };
    let Some(mut payload) = payload else { return Ok(None) };
    let mut rankings = Vec::new();
    for mut item in items_of(&mut payload)? {
        let [mut ids, mut numbers] = pair_of(&mut item)?;
        rankings.push((u32s_of(&mut ids)?, f32s_of(&mut numbers)?));
    }
    Ok(Some(rankings))
}

fn vocabulary_of(mut value: CVal) -> Result<(Vec<u32>, Vec<Vec<u8>>)> {
    let [mut ids, mut texts] = pair_of(&mut value)?;
    let texts = items_of(&mut texts)?.iter_mut().map(bytes_of).collect::<Result<_>>()?;
    Ok((u32s_of(&mut ids)?, texts))
}

fn option_of(value: CVal) -> Result<Option<Vec<u8>>> {
    match value {
        CVal::Option(None) => Ok(None),
        CVal::Option(Some(mut payload)) => Ok(Some(bytes_of(&mut payload)?)),
        _ => bail!(wrong()),
    }
}

fn outcome_of(value: CVal) -> Result<std::result::Result<(), String>> {
    match Val::from(&value) {
        Val::Result(Ok(_)) => Ok(Ok(())),
        Val::Result(Err(Some(why))) => match *why {
            Val::String(why) => Ok(Err(why)),
            _ => bail!(wrong()),
        },
        _ => bail!(wrong()),
    }
}

fn text(one: String) -> CVal {
    CVal::String(one.into_bytes().into())
}

fn define(
    to: &mut LinkerInstance<'_, WasmtimeStoreData>,
    name: &str,
    shape: u32,
    callback: Callback<pie_wasmtime_bulk_callback_t>,
) -> Result<()> {
    match shape {
        0 => to.func_wrap(name, move |context: Context<'_>, (bytes,): (Vec<u8>,)| {
            let made = callback.call(context, vec![CVal::String(bytes.into())])?;
            match Val::from(&made) {
                Val::Resource(one) => Ok((one,)),
                _ => bail!(wrong()),
            }
        }),
        1 => to.func_wrap(
            name,
            move |context: Context<'_>, (from, at, count): (ResourceAny, u64, u64)| {
                let arguments = vec![resource(from), CVal::U64(at), CVal::U64(count)];
                Ok((bytes_of(&mut callback.call(context, arguments)?)?,))
            },
        ),
        2 => to.func_wrap(name, move |context: Context<'_>, (count,): (u64,)| {
            Ok((bytes_of(&mut callback.call(context, vec![CVal::U64(count)])?)?,))
        }),
        3 => to.func_wrap(name, move |context: Context<'_>, (from,): (ResourceAny,)| {
            Ok((rankings_of(callback.call(context, vec![resource(from)])?)?,))
        }),
        4 => to.func_wrap(name, move |context: Context<'_>, (from,): (ResourceAny,)| {
            Ok((vocabulary_of(callback.call(context, vec![resource(from)])?)?,))
        }),
        5 => to.func_wrap(name, move |context: Context<'_>, (): ()| {
            Ok((bytes_of(&mut callback.call(context, vec![])?)?,))
        }),
        6 => to.func_wrap(name, move |context: Context<'_>, (key,): (String,)| {
            Ok((option_of(callback.call(context, vec![text(key)])?)?,))
        }),
        7 => to.func_wrap(
            name,
            move |context: Context<'_>, (key, bytes): (String, Vec<u8>)| {
                let arguments = vec![text(key), CVal::String(bytes.into())];
                Ok((outcome_of(callback.call(context, arguments)?)?,))
            },
        ),
        _ => bail!("there is no shape {shape}"),
    }
}

fn define_async(
    to: &mut LinkerInstance<'_, WasmtimeStoreData>,
    name: &str,
    shape: u32,
    callback: Callback<pie_wasmtime_bulk_async_callback_t>,
) -> Result<()> {
    if shape != 1 {
        bail!("there is no asynchronous shape {shape}");
    }
    to.func_wrap_async(
        name,
        move |context: Context<'_>, (from, at, count): (ResourceAny, u64, u64)| {
            let arguments = vec![resource(from), CVal::U64(at), CVal::U64(count)];
            let answer = callback.call(context, arguments);
            Box::new(async move { Ok((bytes_of(&mut answer.await?)?,)) })
        },
    )
}

/// Calls `define` with the linker's instance and the name.
///
/// # Safety
/// `name` points to `name_len` bytes.
unsafe fn with_instance(
    linker_instance: &mut wasmtime_component_linker_instance_t<'_>,
    name: *const u8,
    name_len: usize,
    define: impl FnOnce(&mut LinkerInstance<'_, WasmtimeStoreData>, &str) -> Result<()>,
) -> Option<Box<wasmtime_error_t>> {
    // SAFETY: wasmtime_component_linker_instance_t is #[repr(transparent)] over LinkerInstance.
    let to = unsafe {
        &mut *(linker_instance as *mut wasmtime_component_linker_instance_t<'_>)
            .cast::<LinkerInstance<'_, WasmtimeStoreData>>()
    };
    let name = unsafe { std::slice::from_raw_parts(name, name_len) };
    let defined = match std::str::from_utf8(name) {
        Ok(name) => define(to, name),
        Err(error) => Err(Error::from(error)),
    };
    defined.err().map(|error| Box::new(wasmtime_error_t::from(error)))
}

/// Defines a function of one of these shapes (`pie_wasmtime_bulk_shape_t`):
///   0  func(list<u8>) -> own<T>
///   1  func(borrow<T>, u64, u64) -> list<u8>
///   2  func(u64) -> list<u8>
///   3  func(borrow<T>) -> option<list<tuple<list<u32>, list<f32>>>>
///   4  func(borrow<T>) -> tuple<list<u32>, list<list<u8>>>
///   5  func() -> list<u8>
///   6  func(string) -> option<list<u8>>
///   7  func(string, list<u8>) -> result<_, string>
///
/// # Safety
/// `name` points to `name_len` bytes; `data` outlives the linker and may be used by any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pie_wasmtime_component_linker_instance_add_bulk_func(
    linker_instance: &mut wasmtime_component_linker_instance_t<'_>,
    name: *const u8,
    name_len: usize,
    shape: u32,
    function: pie_wasmtime_bulk_callback_t,
    data: *mut c_void,
) -> Option<Box<wasmtime_error_t>> {
    unsafe {
        with_instance(linker_instance, name, name_len, |to, name| {
            define(to, name, shape, Callback { function, data })
        })
    }
}

/// The same for a function that waits: of shape 1.
///
/// # Safety
/// As above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pie_wasmtime_component_linker_instance_add_bulk_func_async(
    linker_instance: &mut wasmtime_component_linker_instance_t<'_>,
    name: *const u8,
    name_len: usize,
    shape: u32,
    function: pie_wasmtime_bulk_async_callback_t,
    data: *mut c_void,
) -> Option<Box<wasmtime_error_t>> {
    unsafe {
        with_instance(linker_instance, name, name_len, |to, name| {
            define_async(to, name, shape, Callback { function, data })
        })
    }
}
