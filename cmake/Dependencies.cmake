# Third-party code as imported targets. Pins are in tools/deps.toml; Debian's packages are listed in
# tools/setup. Only layers that name one of these in pie_layer(THIRD_PARTY ...) see its headers.
find_package(Python3 REQUIRED COMPONENTS Interpreter)
# Pinned dependencies that this build needs; one that needs fewer sets it before.
if(NOT PIE_DEPENDENCIES)
  set(PIE_DEPENDENCIES llama llama-chat wasmtime wasmtime-headers llguidance llguidance-headers blake3 msgpack)
endif()
set(_deps ${CMAKE_BINARY_DIR}/deps.cmake)
execute_process(
  COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_LIST_DIR}/../tools/deps.py cmake ${_deps} ${PIE_DEPENDENCIES}
  COMMAND_ERROR_IS_FATAL ANY)
include(${_deps})
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/../tools/deps.toml)
file(GLOB _native ${CMAKE_CURRENT_LIST_DIR}/../native/*/src/*.rs)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${_native})

find_program(CCACHE ccache)
if(CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_C_COMPILER_LAUNCHER ${CCACHE})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
endif()

find_package(Threads REQUIRED)

# pie_third_party(name [INCLUDE dirs...] [LIBS libs...] [DEFINE definitions...])
function(pie_third_party name)
  cmake_parse_arguments(arg "" "" "INCLUDE;LIBS;DEFINE" ${ARGN})
  add_library(third_party_${name} INTERFACE)
  target_include_directories(third_party_${name} SYSTEM INTERFACE ${arg_INCLUDE})
  target_link_libraries(third_party_${name} INTERFACE ${arg_LIBS})
  target_compile_definitions(third_party_${name} INTERFACE ${arg_DEFINE})
endfunction()

# pie_static_library(name file [needs...]): an archive, linked before what it needs.
function(pie_static_library name file)
  add_library(${name} STATIC IMPORTED GLOBAL)
  set_target_properties(${name} PROPERTIES IMPORTED_LOCATION ${file})
  target_link_libraries(${name} INTERFACE ${ARGN})
endfunction()

if(PIE_DEP_LLAMA)
  set(_l ${PIE_DEP_LLAMA}/lib)
  file(GLOB _vendor ${_l}/libvendor-*.a)
  pie_third_party(ggml INCLUDE ${PIE_DEP_LLAMA}/include
    LIBS ${_l}/libggml.a ${_l}/libggml-cpu.a ${_l}/libggml-base.a Threads::Threads dl m)
  pie_static_library(llama ${_l}/libllama.a ${_vendor} third_party_ggml)
  pie_static_library(llama-jinja ${_l}/libllama-jinja.a third_party_ggml)
  pie_static_library(llama-chat ${PIE_DEP_LLAMA_CHAT}/lib/libllama-chat.a llama-jinja llama)
  # Its src/ holds unicode.h: the tables by which its tokenizers tell letters from digits.
  pie_third_party(llama INCLUDE ${PIE_DEP_LLAMA}/include ${PIE_DEP_LLAMA}/source/src LIBS llama)
  pie_third_party(jinja INCLUDE ${PIE_DEP_LLAMA}/include LIBS llama-jinja)
  # Before jinja, with which it shares json.cpp: ours meets the budget of src/model/bounded_run.h.
  pie_third_party(chat INCLUDE ${PIE_DEP_LLAMA}/source LIBS llama-chat)
endif()

if(PIE_DEP_WASMTIME)
  add_library(wasmtime SHARED IMPORTED)
  set_target_properties(wasmtime PROPERTIES IMPORTED_LOCATION ${PIE_DEP_WASMTIME}/lib/libwasmtime.so IMPORTED_NO_SONAME TRUE)
  pie_third_party(wasmtime INCLUDE ${PIE_DEP_WASMTIME_HEADERS}/include LIBS wasmtime)
endif()

if(PIE_DEP_LLGUIDANCE)
  pie_third_party(llguidance INCLUDE ${PIE_DEP_LLGUIDANCE_HEADERS}
    LIBS ${PIE_DEP_LLGUIDANCE}/lib/libpie_llguidance.a Threads::Threads dl m)
endif()

if(PIE_DEP_BLAKE3)
  set(_b ${PIE_DEP_BLAKE3}/c)
  add_library(blake3 STATIC ${_b}/blake3.c ${_b}/blake3_dispatch.c ${_b}/blake3_portable.c
    ${_b}/blake3_sse2_x86-64_unix.S ${_b}/blake3_sse41_x86-64_unix.S ${_b}/blake3_avx2_x86-64_unix.S
    ${_b}/blake3_avx512_x86-64_unix.S)
  pie_third_party(blake3 INCLUDE ${_b} LIBS blake3)
endif()

if(PIE_DEP_MSGPACK)
  pie_third_party(msgpack INCLUDE ${PIE_DEP_MSGPACK}/include DEFINE MSGPACK_NO_BOOST)
endif()

find_package(OpenSSL 3 REQUIRED)
pie_third_party(openssl LIBS OpenSSL::SSL OpenSSL::Crypto)
find_path(BOOST_BEAST_INCLUDE boost/beast.hpp REQUIRED)
pie_third_party(boost INCLUDE ${BOOST_BEAST_INCLUDE} LIBS Threads::Threads
  DEFINE BOOST_ASIO_NO_DEPRECATED BOOST_ERROR_CODE_HEADER_ONLY)
pie_third_party(sqlite LIBS sqlite3)
pie_third_party(toml)
# toml++ asserts what text can break, and reports the same text as an error right after: with its
# assertions compiled out in every preset, as in a release build, text ends no process.
target_compile_options(third_party_toml INTERFACE "-DTOML_ASSERT(expr)=static_cast<void>(expr)")
pie_third_party(cli11)
if(PIE_FMT_HEADER_ONLY)
  pie_third_party(fmt DEFINE FMT_HEADER_ONLY)
else()
  pie_third_party(fmt LIBS fmt)
endif()
if(PIE_BUILD_TESTS)
  find_package(GTest REQUIRED)
  pie_third_party(gtest LIBS GTest::gmock GTest::gtest)
endif()
