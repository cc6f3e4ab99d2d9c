# Frames, provider messages, log entries and snapshots. Included by proto/CMakeLists.txt
# after consensus.cmake, whose generator rule it uses.
#   rf_proto  frame.h, entry_codec.h, snapshot_codec.h, and the generated headers
rf_consensus_proto(provider)
rf_consensus_proto(wire)
rf_consensus_proto(log)

add_library(rf_proto STATIC
    ${CMAKE_CURRENT_LIST_DIR}/frame.c
    ${CMAKE_CURRENT_LIST_DIR}/map.c
    ${CMAKE_CURRENT_LIST_DIR}/state_map.c
    ${CMAKE_CURRENT_LIST_DIR}/entry_map.c
    ${CMAKE_CURRENT_LIST_DIR}/entry_codec.c
    ${CMAKE_CURRENT_LIST_DIR}/entry_formats.c
    ${CMAKE_CURRENT_LIST_DIR}/snapshot_codec.c
    ${CMAKE_BINARY_DIR}/proto/provider.pb-c.c
    ${CMAKE_BINARY_DIR}/proto/wire.pb-c.c
    ${CMAKE_BINARY_DIR}/proto/log.pb-c.c)
target_include_directories(rf_proto SYSTEM PUBLIC ${CMAKE_BINARY_DIR})
# Of rf_core only the types are used, and format_needed().
target_link_libraries(rf_proto PUBLIC rf_check rf_core rf_rules)
