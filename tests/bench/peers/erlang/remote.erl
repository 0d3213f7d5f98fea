%% Erlang/OTP's side of the remote rows: two nodes on loopback. remote:main runs on the near one and
%% starts the far one; what each row does is written in src/rows/remote.rs.
-module(remote).
-export([main/1, far/0, certify/1, tally/0]).

main([Row, Ms, Transport, Port, Options, Sockets | Parameters]) ->
    Given = maps:from_list([{list_to_atom(N), V} || [N, V] <- [string:split(P, "=") || P <- Parameters]]),
    try
        Far = start_far(Transport, Port, Options, Sockets),
        Figure = bench:in_process(fun() -> row(list_to_atom(Row), list_to_integer(Ms), Far, Given) end),
        io:format("~w~n", [float(Figure)]),
        halt(0)
    catch
        Class:Why:Stack ->
            io:format(standard_error, "~p ~p ~p~n", [Class, Why, Stack]),
            halt(1)
    end.

row(ask, Ms, Far, _) ->
    Server = spawn(Far, bench, echo, []),
    bench:ask(Server, Ms);
row(stream, Ms, Far, Given) ->
    Size = number(size, Given),
    Window = number(window, Given),
    Payload = binary:copy(<<7>>, Size),
    Tally = spawn(Far, ?MODULE, tally, []),
    Rate = bench:sized(Ms, 4, fun(Windows) ->
        Count = Windows * Window,
        Began = erlang:monotonic_time(nanosecond),
        Tally ! {hello, self(), Window div 2},
        receive hello -> ok end,
        send(Tally, Payload, 0, Count, Window),
        back(Window),
        Ns = erlang:monotonic_time(nanosecond) - Began,
        {Ns, Count * 1.0e9 / Ns}
    end),
    case Given of
        #{unit := "megabytes"} -> Rate * Size / 1.0e6;
        _ -> Rate
    end;
%% A module that the far node does not have is shipped there, a process of it is started, and it is
%% heard from: milliseconds, the median.
row(load, Ms, Far, _) ->
    {bench, Code, File} = code:get_object_code(bench),
    Figure = fun Again(Left, Times) ->
        rpc:call(Far, code, purge, [bench]),
        rpc:call(Far, code, delete, [bench]),
        Began = erlang:monotonic_time(nanosecond),
        {module, bench} = rpc:call(Far, code, load_binary, [bench, File, Code]),
        Server = spawn(Far, bench, echo, []),
        Ref = make_ref(),
        Server ! {ask, self(), Ref, binary:copy(<<7>>, 64)},
        receive {Ref, _} -> ok end,
        Ns = erlang:monotonic_time(nanosecond) - Began,
        Server ! stop,
        case Left - Ns of
            More when More > 0 -> Again(More, [Ns | Times]);
            _ -> lists:nth(length(Times) div 2 + 1, lists:sort([Ns | Times])) / 1.0e6
        end
    end,
    Figure(Ms * 1000000, []).

number(Name, Given) -> list_to_integer(maps:get(Name, Given)).

send(_, _, Count, Count, Credit) ->
    self() ! {credit, Credit};
send(Tally, Payload, Next, Count, 0) ->
    receive
        {credit, More} -> send(Tally, Payload, Next, Count, More)
    end;
send(Tally, Payload, Next, Count, Credit) ->
    Tally ! {letter, self(), Next, Payload},
    send(Tally, Payload, Next + 1, Count, Credit - 1).

%% All credit is back: the last letter was counted.
back(Window) when Window =< 0 -> ok;
back(Window) ->
    receive
        {credit, More} -> back(Window - More)
    end.

tally() ->
    receive
        {hello, From, Half} -> From ! hello, tally(0, Half)
    end.

tally(Next, Half) ->
    receive
        {letter, From, Next, _} ->
            case (Next + 1) rem Half of
                0 -> From ! {credit, Half};
                _ -> ok
            end,
            tally(Next + 1, Half);
        {hello, From, Other} ->
            From ! hello,
            tally(0, Other)
    end.

%% The far node: there until the near one is gone.

start_far(Transport, Port, Options, Sockets) ->
    Erl = os:find_executable("erl"),
    Tls = case Transport of
        "tls" -> ["-proto_dist", "inet_tls", "-ssl_dist_optfile", Options];
        "tcp" -> []
    end,
    Arguments = ["-noshell", "-noinput", "-pa", filename:dirname(code:which(?MODULE)),
        "-sname", "far@localhost", "-setcookie", "bench", "-start_epmd", "false",
        "-erl_epmd_port", Port, "-kernel", "inet_dist_listen_options", Sockets] ++ Tls ++ ["-run", "remote", "far"],
    open_port({spawn_executable, Erl}, [{args, Arguments}]),
    reach(far@localhost, 500).

reach(Far, 0) ->
    exit({not_reached, Far});
reach(Far, Tries) ->
    case net_kernel:connect_node(Far) of
        true -> Far;
        _ -> timer:sleep(20), reach(Far, Tries - 1)
    end.

far() ->
    %% The near one does not listen, so it is a hidden node; and it may be there already.
    ok = net_kernel:monitor_nodes(true, [{node_type, all}]),
    case nodes(connected) of
        [_ | _] -> ok;
        [] ->
            receive
                {nodeup, _, _} -> ok
            after 30000 -> halt(1)
            end
    end,
    receive
        {nodedown, _, _} -> halt(0)
    end.

%% A key and a certificate for both nodes, and the options that have each check the other's.
certify([Folder]) ->
    {ok, _} = application:ensure_all_started(ssl),
    %% The subject's alternative name, 2.5.29.17 (RFC 5280, section 4.2.1.6).
    Name = {'Extension', {2, 5, 29, 17}, false, [{dNSName, "localhost"}]},
    #{server_config := Own, client_config := Checks} = public_key:pkix_test_data(#{
        server_chain => #{root => [], intermediates => [], peer => [{extensions, [Name]}]},
        client_chain => #{root => [], intermediates => [], peer => []}
    }),
    {Kind, Key} = proplists:get_value(key, Own),
    Roots = [{'Certificate', Der, not_encrypted} || Der <- proplists:get_value(cacerts, Checks)],
    write(Folder, "cert.pem", [{'Certificate', proplists:get_value(cert, Own), not_encrypted}]),
    write(Folder, "key.pem", [{Kind, Key, not_encrypted}]),
    write(Folder, "roots.pem", Roots),
    File = fun(Of) -> filename:join(Folder, Of) end,
    Common = [
        {certfile, File("cert.pem")},
        {keyfile, File("key.pem")},
        {cacertfile, File("roots.pem")},
        {verify, verify_peer}
    ],
    Server = [{fail_if_no_peer_cert, true} | Common],
    Options = [{server, Server}, {client, Common}],
    ok = file:write_file(File("tls.conf"), io_lib:format("~p.~n", [Options])),
    halt(0).

write(Folder, Name, Entries) ->
    ok = file:write_file(filename:join(Folder, Name), public_key:pem_encode(Entries)).
