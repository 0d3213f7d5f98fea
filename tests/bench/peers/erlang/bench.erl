%% Erlang/OTP's side of the local rows: bench:main([Row, Milliseconds, "name=value" ...]) prints the
%% row's figure. What each row does is written where the rows are, in src/rows.
-module(bench).
-export([main/1, player/2, echo/0, sized/3, ask/2, in_process/1]).

main([Row, Ms | Parameters]) ->
    Given = maps:from_list([{list_to_atom(N), V} || [N, V] <- [string:split(P, "=") || P <- Parameters]]),
    try
        Figure = row(list_to_atom(Row), list_to_integer(Ms), Given),
        io:format("~w~n", [float(Figure)]),
        halt(0)
    catch
        Class:Why:Stack ->
            io:format(standard_error, "~p ~p ~p~n", [Class, Why, Stack]),
            halt(1)
    end.

row(ask, Ms, _) ->
    in_process(fun() -> ask(spawn(?MODULE, echo, []), Ms) end);
row(ring, Ms, Given) ->
    Size = number(size, Given),
    Tokens = number(tokens, Given),
    Along = ring(Size),
    Ring = case Given of #{against := _} -> lists:reverse(Along); #{} -> Along end,
    sized(Ms, max(1, 20000 div Tokens), fun(Hops) ->
        Ns = timed(fun() -> run(lists:sublist(Ring, Tokens), Hops) end),
        {Ns, Tokens * Hops * 1.0e9 / Ns}
    end);
row(fan_in, Ms, Given) ->
    Sources = number(sources, Given),
    Window = number(window, Given),
    Payload = binary:copy(<<7>>, number(size, Given)),
    sized(Ms, 160, fun(Count) ->
        Home = self(),
        Pids = [spawn(fun() -> source_waits(Home, Window, Payload) end) || _ <- lists:seq(1, Sources)],
        Ns = timed(fun() ->
            [P ! {'begin', Count} || P <- Pids],
            count(Sources * Count, Window div 2)
        end),
        {Ns, Sources * Count * 1.0e9 / Ns}
    end);
row(spawn_addressable, Ms, Given) ->
    Alive = number(alive, Given),
    repeated(Ms, fun() ->
        {Ns, Pids} = timed_with(fun() -> [spawn(?MODULE, echo, []) || _ <- lists:seq(1, Alive)] end),
        ask_all(Pids),
        stop_all(Pids),
        {Ns, Alive}
    end);
row(spawn_started, Ms, Given) ->
    Alive = number(alive, Given),
    repeated(Ms, fun() ->
        Home = self(),
        {Ns, Pids} = timed_with(fun() ->
            Spawned = [spawn(fun() -> Home ! started, echo() end) || _ <- lists:seq(1, Alive)],
            wait(started, Alive),
            Spawned
        end),
        ask_all(Pids),
        stop_all(Pids),
        {Ns, Alive}
    end);
row(spawn_answer_stop, Ms, Given) ->
    AtOnce = number(at_once, Given),
    Payload = binary:copy(<<7>>, 64),
    sized(Ms, 1000, fun(Count) ->
        Ns = timed(fun() ->
            [last(Payload) || _ <- lists:seq(1, AtOnce)],
            spawn_more(Count - AtOnce, Count, Payload)
        end),
        {Ns, Count * 1.0e9 / Ns}
    end);
row(memory, _, Given) ->
    Count = number(count, Given),
    Before = resident(),
    Pids = [spawn(?MODULE, echo, []) || _ <- lists:seq(1, Count)],
    ask_all(Pids),
    (resident() - Before) / Count;
row(idle, _, _) ->
    {ok, _} = net_kernel:start(idle@localhost, #{name_domain => shortnames, dist_listen => false}),
    timer:sleep(3000),
    resident() / 1.0e6;
row(hog, Ms, Given) ->
    Hogs = [spawn(fun Loop() -> Loop() end) || _ <- lists:seq(1, erlang:system_info(schedulers))],
    Figure = in_process(fun() ->
        beside(spawn(?MODULE, echo, []), Ms, list_to_float(maps:get(part, Given)))
    end),
    [{reductions, _} = process_info(Hog, reductions) || Hog <- Hogs],
    Figure.

number(Name, Given) -> list_to_integer(maps:get(Name, Given)).

%% Asks

echo() ->
    receive
        {ask, From, Ref, Payload} -> From ! {Ref, Payload}, echo();
        stop -> ok
    end.

%% Microseconds, the median.
ask(Whom, Ms) ->
    Payload = binary:copy(<<7>>, 64),
    sized(Ms, 1000, fun(Count) ->
        Began = erlang:monotonic_time(nanosecond),
        Times = ask_times(Whom, Payload, Count, Began, []),
        Ns = erlang:monotonic_time(nanosecond) - Began,
        {Ns, lists:nth(Count div 2 + 1, lists:sort(Times)) / 1000}
    end).

ask_times(_, _, 0, _, Times) ->
    Times;
ask_times(Whom, Payload, Left, Began, Times) ->
    Ref = make_ref(),
    Whom ! {ask, self(), Ref, Payload},
    receive
        {Ref, _} -> ok
    after 10000 -> exit(no_answer)
    end,
    Now = erlang:monotonic_time(nanosecond),
    ask_times(Whom, Payload, Left - 1, Now, [Now - Began | Times]).

%% Milliseconds, of all round trips in this time the one at this part; 1.0: the longest. They are
%% counted in steps of 100 ns up to 100 ms, since a list of millions would be collected meanwhile.
beside(Whom, Ms, Part) ->
    Counts = counters:new(1000001, []),
    Payload = binary:copy(<<7>>, 64),
    Now = erlang:monotonic_time(nanosecond),
    {All, Most} = beside(Whom, Payload, Counts, Now, Now + Ms * 1000000, 0, 0),
    case Part of
        1.0 -> Most / 1.0e6;
        _ -> step(Counts, 1, trunc(All * Part)) / 1.0e4
    end.

beside(_, _, _, Last, Until, All, Most) when Last >= Until -> {All, Most};
beside(Whom, Payload, Counts, Last, Until, All, Most) ->
    Ref = make_ref(),
    Whom ! {ask, self(), Ref, Payload},
    receive
        {Ref, _} -> ok
    after 10000 -> exit(no_answer)
    end,
    Now = erlang:monotonic_time(nanosecond),
    counters:add(Counts, min(1000000, (Now - Last) div 100) + 1, 1),
    beside(Whom, Payload, Counts, Now, Until, All + 1, max(Most, Now - Last)).

step(Counts, At, Left) ->
    case Left - counters:get(Counts, At) of
        Rest when Rest < 0 -> At;
        Rest -> step(Counts, At + 1, Rest)
    end.

%% Rings

player(Next, Home) ->
    receive
        {token, 0, _} -> Home ! done, player(Next, Home);
        {token, Left, Payload} -> Next ! {token, Left - 1, Payload}, player(Next, Home);
        {next, Other} -> player(Other, Home)
    end.

%% Each before the one it passes tokens on to.
ring(Size) ->
    Home = self(),
    First = spawn(?MODULE, player, [none, Home]),
    {Last, Ring} = lists:foldl(
        fun(_, {Next, Players}) ->
            Player = spawn(?MODULE, player, [Next, Home]),
            {Player, [Player | Players]}
        end,
        {First, [First]},
        lists:seq(2, Size)
    ),
    First ! {next, Last},
    Ring.

run(Players, Hops) ->
    Payload = binary:copy(<<7>>, 64),
    [P ! {token, Hops, Payload} || P <- Players],
    wait(done, length(Players)).

%% Fan-in

source_waits(Home, Window, Payload) ->
    receive
        {'begin', Count} -> source(Home, Window div 2, Payload, 0, Count, Window)
    end.

source(_, _, _, Count, Count, _) ->
    ok;
source(Home, Half, Payload, Next, Count, 0) ->
    receive
        {credit, More} -> source(Home, Half, Payload, Next, Count, More)
    end;
source(Home, Half, Payload, Next, Count, Credit) ->
    Home ! {letter, self(), Next, Payload},
    source(Home, Half, Payload, Next + 1, Count, Credit - 1).

count(0, _) ->
    ok;
count(Left, Half) ->
    receive
        {letter, From, Number, _} ->
            case Number rem Half of
                Rest when Rest =:= Half - 1 -> From ! {credit, Half};
                _ -> ok
            end,
            count(Left - 1, Half)
    end.

%% Spawns

ask_all(Pids) ->
    Payload = binary:copy(<<7>>, 64),
    Home = self(),
    [P ! {ask, Home, asked, Payload} || P <- Pids],
    [receive {asked, _} -> ok end || _ <- Pids].

stop_all(Pids) ->
    Refs = [monitor(process, P) || P <- Pids],
    [P ! stop || P <- Pids],
    [receive {'DOWN', R, process, _, _} -> ok end || R <- Refs].

last(Payload) ->
    {Pid, _} = spawn_monitor(fun() ->
        receive
            {ask, From, Ref, P} -> From ! {Ref, P}
        end
    end),
    Pid ! {ask, self(), make_ref(), Payload}.

spawn_more(_, 0, _) ->
    ok;
spawn_more(Left, Due, Payload) ->
    receive
        {'DOWN', _, process, _, normal} ->
            Left > 0 andalso last(Payload),
            spawn_more(Left - 1, Due - 1, Payload);
        {_, _} ->
            spawn_more(Left, Due, Payload)
    end.

%% Time and memory

wait(_, 0) -> ok;
wait(What, Left) ->
    receive
        What -> wait(What, Left - 1)
    end.

timed(Fun) ->
    {Ns, _} = timed_with(Fun),
    Ns.

timed_with(Fun) ->
    Began = erlang:monotonic_time(nanosecond),
    Result = Fun(),
    {max(1, erlang:monotonic_time(nanosecond) - Began), Result}.

%% As `sized` of src/lib.rs.
sized(Ms, Size, Run) ->
    Wanted = Ms * 1000000,
    {Ns, Figure} = Run(Size),
    case Ns * 2 >= Wanted of
        true -> Figure;
        false -> sized(Ms, max(Size + 1, min(Size * 8, Size * Wanted div max(1, Ns))), Run)
    end.

repeated(Ms, Run) -> repeated(Ms * 1000000, 0, 0, Run).

repeated(Wanted, Ns, Work, _) when Ns >= Wanted -> Work * 1.0e9 / Ns;
repeated(Wanted, Ns, Work, Run) ->
    {More, Done} = Run(),
    repeated(Wanted, Ns + More, Work + Done, Run).

%% The first process of a program is not like the others.
in_process(Fun) ->
    Home = self(),
    Options = [monitor, {min_heap_size, 4000000}],
    {_, Ref} = spawn_opt(fun() -> Home ! {result, Fun()} end, Options),
    receive
        {result, Result} -> Result;
        {'DOWN', Ref, process, _, Why} -> exit(Why)
    end.

resident() ->
    {ok, Text} = file:read_file("/proc/self/status"),
    {match, [Kib]} = re:run(Text, "VmRSS:\\s+(\\d+)", [{capture, all_but_first, list}]),
    list_to_integer(Kib) * 1024.
