/* The names of report entries, which say whose they are: nobody's entry is taken for another's.
 *
 * The transport's own source is included, to call what it keeps to itself.
 */
#include "configfs.c"
#include "target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct owner us;
    char name[4 * NAME_SIZE], printed[NAME_SIZE];
    struct owner owner, again;

    if (!us.pid)
        us = this_process();
    if (size >= sizeof name)
        return 0;
    memcpy(name, data, size);
    name[size] = 0;
    if (!parse_name(name, &owner))
        return 0;
    accepted++;
    snprintf(printed, sizeof printed, NAME_PRINT, owner.pid_namespace, owner.time_namespace,
             owner.pid, owner.started, owner.born, (uint64_t)size);
    REQUIRE(parse_name(printed, &again));
    REQUIRE(again.pid_namespace == owner.pid_namespace &&
            again.time_namespace == owner.time_namespace && again.pid == owner.pid &&
            again.started == owner.started && again.born == owner.born);
    if (owner.time_namespace != us.time_namespace)
        REQUIRE(!is_abandoned(&owner, &us));
    owner.time_namespace = us.time_namespace;
    if (owner.pid_namespace != us.pid_namespace)
        REQUIRE(is_abandoned(&owner, &us) == (owner.born < us.born - ENTRY_MAX_AGE_S));
    owner = us;
    owner.born = again.born > us.born - ENTRY_MAX_AGE_S ? again.born : us.born;
    REQUIRE(!is_abandoned(&owner, &us));
    return 0;
}
